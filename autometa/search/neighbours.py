"""Why a config is suggested: how it did on the prior tasks whose tables are most like this one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from autometa.pool import Pool
from autometa.records.prior_tasks import FEWEST
from autometa.tables.meta_features import NAMES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.space import Config, Key
    from autometa.task import Task, Trial

NEAREST = 5
TOP = 0.1  # share of a task's configs that counts as its top


@dataclass(frozen=True)
class Precedent:
    """How a config did on one prior task.

    Attributes:
        task: its name.
        distance: of the two tables: root mean square of the differences of meta-features, in standard deviations.
        exact: whether the very config was tried there; else the nearest one of its kind was.
        rank: of the loss, 1 is the best.
        of: configs that were tried there.
        share: of the way from the worst loss there to the best.
    """

    task: str
    distance: float
    exact: bool
    rank: int
    of: int
    share: float

    @property
    def top(self) -> bool:
        """Whether it was in the task's top tenth."""
        return self.rank <= max(1, math.ceil(TOP * self.of))


@dataclass(frozen=True)
class Neighbour:
    """A prior task near this one.

    Attributes:
        task: with trials at the full budget, complete or failed.
        distance: see :class:`Precedent`.
    """

    task: Task
    distance: float

    @cached_property
    def _losses(self) -> dict[Key, tuple[Config, float]]:
        """The first loss of each config by its key; infinite where it failed."""
        losses: dict[Key, tuple[Config, float]] = {}
        for t in _whole(self.task):
            losses.setdefault(t.key, (t.config, t.loss if math.isfinite(t.loss) else math.inf))
        return losses

    @cached_property
    def _pool(self) -> Pool:
        return Pool(self.task.space, [config for config, _ in self._losses.values()])

    @cached_property
    def _ranks(self) -> NDArray[np.float64]:
        return np.asarray(rankdata([loss for _, loss in self._losses.values()], "min"))

    def precedent(self, config: Config) -> Precedent | None:
        """How a config did there, or the nearest one; None where nothing of its kind was tried."""
        place = self._pool.place(config)
        exact = place is not None
        if place is None:
            place = self._pool.nearest(config, range(len(self._pool)), seed=[0])
            if not _akin(self._pool[place], config):
                return None
        losses = [loss for _, loss in self._losses.values()]
        finite = [loss for loss in losses if math.isfinite(loss)]
        best, worst = min(finite), max(finite)
        share = (worst - losses[place]) / (worst - best) if worst > best else 1.0
        return Precedent(self.task.name, self.distance, exact, int(self._ranks[place]), len(losses), max(0.0, share))


def nearest_tasks(features: Mapping[str, float | str], tasks: Sequence[Task], *, n: int = NEAREST) -> list[Neighbour]:
    """The prior tasks of the same kind of target whose meta-features are nearest, the nearest first.

    Args:
        features: of this table: its kind, and meta-features by name.
        tasks: prior ones; those of few configs or without meta-features are left out. Of several on one table the
            last counts.
        n: how many.
    """
    taught = [t for t in tasks if t.features.get("kind") == features.get("kind") and _teaches(t)]
    by_table = {_vector(t.features).tobytes(): t for t in taught}
    if not by_table:
        return []
    table = np.array([_vector(t.features) for t in by_table.values()])
    spread = table.std(axis=0)
    varied = spread > 0
    apart = (table - _vector(features))[:, varied] / spread[varied]
    distances = np.sqrt((apart**2).mean(axis=1)) if varied.any() else np.zeros(len(table))
    found = list(by_table.values())
    return [Neighbour(found[i], float(distances[i])) for i in np.argsort(distances, kind="stable")[:n]]


def _vector(features: Mapping[str, float | str]) -> NDArray[np.float64]:
    return np.array([features.get(name, math.nan) for name in NAMES], np.float64)


def _whole(task: Task) -> list[Trial]:
    return [t for t in task.done if t.budget == 1.0 and t.state != "pruned"]


def _teaches(task: Task) -> bool:
    whole = _whole(task)
    known = not np.isnan(_vector(task.features)).any() and any(math.isfinite(t.loss) for t in whole)
    return known and len({t.key for t in whole}) >= FEWEST


def _akin(one: Config, other: Config) -> bool:
    """Whether two configs are of one algorithm and have the same hyperparameters."""
    return one.get("algorithm") == other.get("algorithm") and set(one) == set(other)
