"""A search that is asked for configs and told outcomes one by one, and that is nothing but data in between."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Any, Literal, TypeAlias

import numpy as np

from autometa.integrations.branches import within
from autometa.integrations.shapes import Shape
from autometa.space import Config, Key, key
from autometa.task import Policy, Task, Trial

State: TypeAlias = Literal["running", "complete", "stopped", "failed"]
MOST_AHEAD = 64  # configs that are proposed at once
_SPARE = 4  # configs of a batch for each one more that is proposed: steps of ranges make some of them equal
_LOOKED_AT = 256  # random configs, where the policy has only known ones


@dataclass
class Run:
    """One trial of a sweep.

    Attributes:
        config: as it was given out.
        state: "stopped" is a trial that someone else ended before it was through.
        loss: at the end; NaN where there is none.
        reports: losses by step, in the order in which they came.
    """

    config: Config
    state: State = "running"
    loss: float = math.nan
    reports: dict[int, float] = field(default_factory=dict)

    @cached_property
    def key(self) -> Key:
        """Of the config."""
        return key(self.config)


class Sweep:
    """A policy that proposes ahead of demand.

    Configs are proposed for as many trials as have been under way at once, and given out one by one. When outcomes of
    half as many have come in, what is left of them is dropped for new ones. So the policy thinks once for several
    trials, and each trial knows all outcomes but the latest few; where trials run one after the other, it knows all.
    What is proposed follows from the order of questions and outcomes, never from the clock.

    Args:
        shape: of the space.
        policy: who decides.
        features: of the dataset.
        seed: of all that is random.
        points: what to try first, each the values of some or all active parameters; the policy adds the others.
        name: of the task.
    """

    def __init__(
        self,
        shape: Shape,
        policy: Policy,
        *,
        features: Mapping[str, float | str],
        seed: int,
        points: Sequence[Config] = (),
        name: str = "sweep",
    ) -> None:
        self.shape, self._policy = shape, policy
        self._task = Task(name, shape.space, (), dict(features))
        self._seed = seed
        self._points = list(points)
        self._queue: list[Config] = []
        self._asked = 0  # configs in the queue when it was made
        self._news = 0  # outcomes since then
        self.width = 1
        self.runs: dict[str, Run] = {}

    def ask(self, name: str) -> Config:
        """The config of a new trial."""
        if self._points:
            config = self._begun(self._points.pop(0))
        else:
            if not self._queue or self._news >= max(1, self._asked // 2):
                self._queue = self._proposals(min(self.width, MOST_AHEAD))
                self._asked, self._news = len(self._queue), 0
            config = self._queue.pop(0)
        self.add(name, Run(config))
        return config

    def add(self, name: str, run: Run) -> None:
        """Take in a trial, also one that nobody asked for."""
        self.runs[name] = run
        self.width = max(self.width, sum(r.state == "running" for r in self.runs.values()))
        self._news += run.state != "running"

    def report(self, name: str, step: int, loss: float) -> None:
        """Take in what a trial has reached at a step."""
        run = self.runs[name]
        run.reports.pop(step, None)  # a trial that begins again comes to a step again
        run.reports[step] = loss
        run.state = "running"

    def end(self, name: str, state: State, loss: float = math.nan) -> None:
        """Take in an outcome; the last word of several counts."""
        run = self.runs[name]
        run.state, run.loss = state, loss
        self._news += 1

    def task(self) -> Task:
        """The sweep as policies see it."""
        return self._task.observe(*map(_trial, self.runs.values()))

    # As data

    def state(self) -> dict[str, Any]:
        """All that it takes to go on, for :meth:`go_on`; plain values of JSON."""
        return {
            "seed": self._seed,
            "features": dict(self._task.features),
            "points": [dict(point) for point in self._points],
            "queue": [dict(config) for config in self._queue],
            "asked": self._asked,
            "news": self._news,
            "width": self.width,
            "runs": {name: _as_data(run) for name, run in self.runs.items()},
        }

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Become what a sweep of the same space was."""
        self._seed = state["seed"]
        self._task = replace(self._task, features=state["features"])
        self._points = list(state["points"])
        self._queue = list(state["queue"])
        self._asked, self._news, self.width = state["asked"], state["news"], state["width"]
        self.runs = {name: _from_data(data) for name, data in state["runs"].items()}

    # Proposing

    def _proposals(self, count: int) -> list[Config]:
        """So many new configs, or fewer, but one at least."""
        task = self.task()
        known = {run.key for run in self.runs.values()}
        new: dict[Key, Config] = {}
        wanted = count + count // _SPARE
        proposed = [self.shape.rounded(c) for c in self._policy.propose(task, n=wanted, seed=self._seed)]
        for config in proposed:
            if key(config) not in known:
                new.setdefault(key(config), config)
        if not new:  # what differs for the policy may be one and the same step of a range
            rng = np.random.default_rng([self._seed, len(task.history)])
            drawn = (self.shape.rounded(task.space.sample(rng)) for _ in range(_LOOKED_AT))
            new = {key(c): c for c in islice((c for c in drawn if key(c) not in known), 1)}
        return list(new.values())[:count] or proposed[:1]

    def _begun(self, point: Config) -> Config:
        """A config with these values."""
        config = self._task.space.complete(point)
        if not config.keys() <= point.keys():
            (proposed,) = self._policy.propose(within(self.task(), point), n=1, seed=self._seed)
            config = self._task.space.complete({**proposed, **point})
        return self.shape.rounded(config)


def _trial(run: Run) -> Trial:
    if run.state == "running":
        return Trial(run.config)
    stopped = run.state == "stopped"
    curve = tuple(told for _, told in sorted(run.reports.items()))
    loss = (curve[-1] if curve else math.nan) if stopped else run.loss
    if run.state == "failed" or not math.isfinite(loss):
        return Trial(run.config, "failed", curve=curve)
    return Trial(run.config, "pruned" if stopped else "complete", loss, curve=curve)


def _as_data(run: Run) -> dict[str, Any]:
    reports = [[step, _number(loss)] for step, loss in run.reports.items()]
    return {"config": dict(run.config), "state": run.state, "loss": _number(run.loss), "reports": reports}


def _from_data(data: Mapping[str, Any]) -> Run:
    reports = {step: math.nan if loss is None else loss for step, loss in data["reports"]}
    return Run(data["config"], data["state"], math.nan if data["loss"] is None else data["loss"], reports)


def _number(loss: float) -> float | None:
    return loss if math.isfinite(loss) else None  # JSON has no other numbers
