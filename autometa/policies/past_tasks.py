"""Past tasks on any pool: what was recorded where it was, and what a surrogate of each task foretells elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from autometa.parameters import Categorical
from autometa.policies.candidates import LARGEST
from autometa.policies.carried_tasks import CarriedTask, CarriedTasks, points_of
from autometa.policies.surrogates import Surrogates, tamed_with_failures
from autometa.pool import Pool
from autometa.records.prior_tasks import FEWEST, PriorTasks
from autometa.space import Key, key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.parameters import Value
    from autometa.space import Config, Space
    from autometa.task import Task


@dataclass(frozen=True, eq=False)
class PastTask:
    """What one task has shown.

    Attributes:
        name: of the task.
        space: of its configs.
        configs: that were evaluated in full, each once.
        losses: theirs, shape (n,); infinite where failed.
        features: what is known of its dataset.
    """

    name: str
    space: Space
    configs: tuple[Config, ...]
    losses: NDArray[np.float64]
    features: dict[str, float | str]

    @classmethod
    def of(cls, task: Task) -> PastTask:
        """From a history; of equal configs the last counts."""
        found: dict[Key, tuple[Config, float]] = {}
        for t in task.history:
            if t.state == "failed" or (t.state == "complete" and t.budget >= 1.0):
                known = t.state == "complete" and np.isfinite(t.loss)
                found[t.key] = (t.config, t.loss if known else np.inf)
        losses = np.array([np.clip(loss, -LARGEST, LARGEST) if loss < np.inf else loss for _, loss in found.values()])
        return cls(task.name, task.space, tuple(c for c, _ in found.values()), losses, dict(task.features))

    def into(self, space: Space) -> CarriedTask | None:
        """The task as one of another space; None where the two have too little in common.

        A hyperparameter is the same where its name is, whatever its range was; a value beyond the range of the other
        space counts as its nearest end. Hyperparameters that one side lacks are not looked at. Trials with a choice
        that the other space does not have are left out.
        """
        shared = tuple(p.name in self.space for p in space)
        kept, rows = [], []
        for i, config in enumerate(self.configs):
            row = _units(space, config)
            if row is not None:
                kept.append(i)
                rows.append(row)
        losses = self.losses[kept]
        if not any(shared) or np.isfinite(losses).sum() < FEWEST:
            return None
        surrogate = Surrogates.fit(points_of(space, np.array(rows)), losses[None, :])
        keys = (key(self.configs[i]) for i in kept)
        known = dict(zip(keys, tamed_with_failures(losses).tolist(), strict=True))
        return CarriedTask(self.name, self.features, shared, surrogate, known)


@dataclass(frozen=True, eq=False)
class PastTasks:
    """All that a policy learns from.

    Attributes:
        recorded: tasks of one space on shared configs; None for none.
        tasks: others, of any spaces.
    """

    recorded: PriorTasks | None = None
    tasks: tuple[PastTask, ...] = ()
    _carried: dict[Space, CarriedTasks] = field(default_factory=dict, repr=False)
    _listed: dict[Space, list[Config]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, tasks: Sequence[Task]) -> PastTasks:
        """From finished tasks."""
        return cls(None, tuple(PastTask.of(t) for t in tasks))

    def __len__(self) -> int:
        return len(self.tasks) + (len(self.recorded) if self.recorded is not None else 0)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all tasks, in the order of :meth:`on`."""
        return (*(self.recorded.names if self.recorded is not None else ()), *(t.name for t in self.tasks))

    def configs(self, space: Space) -> list[Config]:
        """What past tasks have evaluated and the space has, the best of each task first."""
        if space not in self._listed:
            self._listed.clear()  # one space at a time
            self._listed[space] = self._list(space)
        return self._listed[space]

    def _list(self, space: Space) -> list[Config]:
        ranked: list[tuple[int, Config]] = []
        if self.recorded is not None and len(self.recorded):
            order = np.argsort(self.recorded.scaled("ranks").mean(axis=0), kind="stable")
            ranked += [(rank, self.recorded.pool[int(i)]) for rank, i in enumerate(order)]
        for task in self.tasks:
            best = np.argsort(task.losses, kind="stable")
            ranked += [(rank, task.configs[int(i)]) for rank, i in enumerate(best) if np.isfinite(task.losses[i])]
        found: dict[Key, Config] = {}
        for _, config in sorted(ranked, key=lambda pair: pair[0]):
            fitted = config if space.has(config) else space.fit(config)
            if fitted is not None:
                found.setdefault(key(fitted), fitted)
        return list(found.values())

    def on(self, pool: Pool) -> PriorTasks:
        """All of them on a pool, without gaps where a task has anything to say of it."""
        if self.recorded is not None and not self.tasks and len(pool.parts) == 1:
            exact = self.recorded.on(pool)
            if len(exact) and not np.isnan(exact.losses).all(axis=0).any():
                return exact
        if pool.space not in self._carried:
            self._carried.clear()  # one space at a time
            tasks = (t.into(pool.space) for t in self.tasks)
            self._carried[pool.space] = CarriedTasks(pool.space, self._whole, tuple(t for t in tasks if t is not None))
        return self._carried[pool.space].on(pool)

    @cached_property
    def _whole(self) -> PriorTasks | None:
        return _without_gaps(self.recorded) if self.recorded is not None and len(self.recorded) else None


def _without_gaps(recorded: PriorTasks) -> PriorTasks:
    """Recorded tasks on their own pool, each config that a task lacks foretold by its others."""
    evaluated = ~np.isnan(recorded.losses)
    losses = recorded.losses.copy()
    for shape in np.unique(evaluated, axis=0):
        alike = np.flatnonzero((evaluated == shape).all(axis=1))
        if not shape.all():
            points = recorded.pool.inputs
            told = Surrogates.fit(points[shape], losses[np.ix_(alike, shape)])
            losses[np.ix_(alike, ~shape)] = told.foretell(points[~shape])
    return replace(recorded, losses=losses)


def _units(space: Space, config: Config) -> NDArray[np.float64] | None:
    """Places of a config of another space, shape (d,); None where a choice is not one of this space."""
    row = np.full(len(space), np.nan)
    for i, p in enumerate(space):
        if p.name in config:
            value = config[p.name]
            if isinstance(p, Categorical):
                if not p.holds(value):
                    return None
                row[i] = p.to_unit(value)
            else:
                if isinstance(value, bool | str):
                    return None
                row[i] = p.to_unit(_within(p.low, value, p.high))
    return row


def _within(low: float, value: Value, high: float) -> float:
    return min(max(float(value), low), high)
