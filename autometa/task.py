"""Tasks and trials, and the one question a policy answers: given this task, what to try next?"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from autometa.space import key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np

    from autometa.space import Config, Key, Space

State = Literal["complete", "pruned", "failed", "running"]


@dataclass(frozen=True)
class Trial:
    """One evaluation of a config.

    Attributes:
        config: values of the active hyperparameters.
        state: "pruned" means stopped early, with losses of the folds it got to.
        loss: lower is better; NaN where unknown.
        fold_losses: the losses it is the mean of, in fold order.
        budget: share of the training rows, in (0, 1].
        seconds: what the evaluation took.
        curve: validation loss after each iteration or epoch of the last fit.
    """

    config: Config
    state: State = "running"
    loss: float = math.nan
    fold_losses: tuple[float, ...] = ()
    budget: float = 1.0
    seconds: float = math.nan
    curve: tuple[float, ...] = ()

    @cached_property
    def key(self) -> Key:
        """Of its config; see :func:`autometa.space.key`."""
        return key(self.config)


@dataclass(frozen=True)
class Costs:
    """What evaluating configs of a task takes, and how much may be spent on it.

    Attributes:
        seconds: that the evaluation of a config is expected to take.
        limit: seconds of all evaluations together, those of the history included.
    """

    seconds: Callable[[Config], float]
    limit: float


@dataclass(frozen=True)
class Task:
    """A search space, the trials seen on it so far, and what is known of its dataset.

    A recorded task and a live one are one type. Tasks are values: :meth:`observe` returns a new one.

    Attributes:
        name: what the task is called in recordings.
        space: where configs come from.
        history: trials in the order in which they were proposed.
        features: what is known of the dataset before any trial (kind, rows, features, classes, ...).
        costs: of its evaluations; None where nobody knows them or time does not matter.
    """

    name: str
    space: Space
    history: tuple[Trial, ...] = ()
    features: Mapping[str, float | str] = field(default_factory=dict)
    costs: Costs | None = None

    def observe(self, *trials: Trial) -> Task:
        """The task with more trials in its history."""
        return replace(self, history=(*self.history, *trials))

    @property
    def done(self) -> tuple[Trial, ...]:
        """Trials with an outcome: complete, pruned or failed."""
        return tuple(t for t in self.history if t.state != "running")

    @property
    def pending(self) -> tuple[Trial, ...]:
        """Trials proposed and not finished."""
        return tuple(t for t in self.history if t.state == "running")

    @property
    def best(self) -> Trial | None:
        """The complete trial with the lowest loss, the earliest of equals."""
        complete = [t for t in self.history if t.state == "complete" and not math.isnan(t.loss)]
        return min(complete, key=lambda t: t.loss, default=None)

    def split(self, k: int, rng: np.random.Generator) -> tuple[Task, Task]:
        """Support and query set: k trials drawn at random, and the rest, both in their old order."""
        order = rng.permutation(len(self.history))
        chosen = set(order[:k].tolist())
        support = tuple(t for i, t in enumerate(self.history) if i in chosen)
        query = tuple(t for i, t in enumerate(self.history) if i not in chosen)
        return replace(self, history=support), replace(self, history=query)


@runtime_checkable
class Policy(Protocol):
    """Who decides what to try next. A policy keeps no state: all it knows is in its arguments."""

    def propose(self, task: Task, *, n: int, seed: int, candidates: Sequence[Config] | None = None) -> list[Config]:
        """The next n configs, the same for the same arguments.

        Args:
            task: the space, the history with pending trials, and the dataset's features.
            n: how many configs are wanted.
            seed: the one source of randomness.
            candidates: a finite pool to choose from, as in replay; None for the whole space.
        """
        ...
