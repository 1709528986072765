"""Past tasks on any pool: what was recorded where it was, and what a surrogate of each task foretells elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from autometa.parameters import Categorical
from autometa.policies.candidates import LARGEST
from autometa.policies.kernel import Matern, most_likely_length
from autometa.policies.own_process import tamed
from autometa.pool import Pool, kernel_inputs, key
from autometa.records.prior_tasks import FEWEST, PriorTasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.parameters import Parameter, Value
    from autometa.space import Config, Space
    from autometa.task import Task

NOISE = 0.02  # variance of a loss relative to the signal's
MOST = 400  # trials of a past task that its surrogate is fitted to, evenly taken


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
        found: dict[object, tuple[Config, float]] = {}
        for t in task.history:
            if t.state == "failed" or (t.state == "complete" and t.budget >= 1.0):
                known = t.state == "complete" and np.isfinite(t.loss)
                found[key(t.config)] = (t.config, t.loss if known else np.inf)
        losses = np.array([np.clip(loss, -LARGEST, LARGEST) if loss < np.inf else loss for _, loss in found.values()])
        return cls(task.name, task.space, tuple(c for c, _ in found.values()), losses, dict(task.features))

    def on(self, pool: Pool) -> NDArray[np.float64] | None:
        """Losses of all configs of a pool, tamed, shape (C,), foretold where they were not evaluated.

        A hyperparameter is the same where its name is, whatever its range was; a value beyond the range of the pool's
        space counts as its nearest end. Hyperparameters that one side lacks are not looked at. Trials with a choice
        that the pool's space does not have are left out.

        Returns:
            None where the task and the pool have too little in common.
        """
        shared = [p for p in pool.space if p.name in self.space]
        kept, rows = [], []
        for i, config in enumerate(self.configs):
            row = _units(pool.space, shared, config)
            if row is not None:
                kept.append(i)
                rows.append(row)
        losses = self.losses[kept]
        if not shared or np.isfinite(losses).sum() < FEWEST:
            return None
        units = pool.units.copy()
        units[:, [i for i, p in enumerate(pool.space) if p not in shared]] = np.nan
        flagged = [p.when is not None for p in pool.space]
        known = kernel_inputs(pool.space, np.array(rows), flagged=flagged)
        wanted = kernel_inputs(pool.space, units, flagged=flagged)
        found = np.asarray(foretell(known, losses[None, :], wanted)[0])
        for i, loss in zip(kept, _tame(losses), strict=True):
            place = pool.place(self.configs[i])
            if place is not None:
                found[place] = loss
        return found


@dataclass(frozen=True, eq=False)
class PastTasks:
    """All that a policy learns from.

    Attributes:
        recorded: tasks of one space on shared configs; None for none. Pools they are asked about are of that space or
            of a part of it.
        tasks: others, of any spaces.
    """

    recorded: PriorTasks | None = None
    tasks: tuple[PastTask, ...] = ()

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
        ranked: list[tuple[int, Config]] = []
        if self.recorded is not None and len(self.recorded):
            order = np.argsort(self.recorded.scaled("ranks").mean(axis=0), kind="stable")
            ranked += [(rank, self.recorded.pool[int(i)]) for rank, i in enumerate(order)]
        for task in self.tasks:
            best = np.argsort(task.losses, kind="stable")
            ranked += [(rank, task.configs[int(i)]) for rank, i in enumerate(best) if np.isfinite(task.losses[i])]
        found: dict[object, Config] = {}
        for _, config in sorted(ranked, key=lambda pair: pair[0]):
            fitted = config if space.has(config) else space.fit(config)
            if fitted is not None:
                found.setdefault(key(fitted), fitted)
        return list(found.values())

    def on(self, pool: Pool) -> PriorTasks:
        """All of them on a pool, without gaps where a task has anything to say of it."""
        names: list[str] = []
        rows: list[NDArray[np.float64]] = []
        features: list[dict[str, float | str]] = []
        if self.recorded is not None and len(self.recorded):
            known = self._recorded_on(pool)
            if not self.tasks:
                return known
            names += known.names
            rows += list(known.losses)
            features += [dict(f) for f in known.features] or [{} for _ in known.names]
        for task in self.tasks:
            row = task.on(pool)
            if row is not None:
                names.append(task.name)
                rows.append(row)
                features.append(task.features)
        return PriorTasks(pool, tuple(names), np.array(rows).reshape(len(rows), len(pool)), tuple(features))

    def _recorded_on(self, pool: Pool) -> PriorTasks:
        assert self.recorded is not None
        exact = self.recorded.on(pool)
        if len(exact) and not np.isnan(exact.losses).all(axis=0).any():
            return exact
        whole = self._whole
        space = whole.pool.space
        flagged = [p.when is not None for p in space]
        units = pool.units if pool.space is space else Pool(space, pool.configs).units
        known = kernel_inputs(space, whole.pool.units, flagged=flagged)
        losses = foretell(known, whole.losses, kernel_inputs(space, units, flagged=flagged))
        places = [(i, whole.pool.place(config)) for i, config in enumerate(pool)]
        for i, place in places:
            if place is not None:
                losses[:, i] = whole.losses[:, place]
        return replace(whole, pool=pool, losses=losses)

    @cached_property
    def _whole(self) -> PriorTasks:
        assert self.recorded is not None
        return _without_gaps(self.recorded)


def foretell(
    known: NDArray[np.float64], losses: NDArray[np.float64], wanted: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Means of Gaussian processes, one for each of S tasks that have evaluated the same configs.

    Args:
        known: points of n evaluated configs, shape (n, t).
        losses: theirs, raw, at least one of each task finite, infinite where failed, shape (S, n).
        wanted: points of C configs, shape (C, t).

    Returns:
        Shape (S, C), raw.
    """
    some = np.unique(np.linspace(0, len(known) - 1, min(MOST, len(known))).astype(int))
    points, tables = known[some], np.array([_tame(row) for row in losses])[:, some]
    middle = tables.mean(axis=1, keepdims=True)
    spread = np.maximum(tables.std(axis=1, keepdims=True), np.finfo(float).tiny)
    standard = (tables - middle) / spread
    kernel = Matern(points, most_likely_length(points, standard, NOISE))
    covariance = kernel.between(points, points) + NOISE * np.eye(len(points))
    return np.asarray(middle + spread * (np.linalg.solve(covariance, standard.T).T @ kernel.between(points, wanted)))


def _tame(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    finite = np.isfinite(losses)
    known = tamed(losses[finite])
    filled = np.full(len(losses), known.max())
    filled[finite] = known
    return filled


def _without_gaps(recorded: PriorTasks) -> PriorTasks:
    """Recorded tasks on their own pool, each config that a task lacks foretold by its others."""
    evaluated = ~np.isnan(recorded.losses)
    losses = recorded.losses.copy()
    for shape in np.unique(evaluated, axis=0):
        alike = np.flatnonzero((evaluated == shape).all(axis=1))
        if not shape.all():
            points = recorded.pool.inputs
            told = foretell(points[shape], losses[np.ix_(alike, shape)], points[~shape])
            losses[np.ix_(alike, ~shape)] = told
    return replace(recorded, losses=losses)


def _units(space: Space, shared: Sequence[Parameter], config: Config) -> NDArray[np.float64] | None:
    """Places of a config of another space, shape (d,); None where a choice is not one of this space."""
    row = np.full(len(space), np.nan)
    for i, p in enumerate(space):
        if p in shared and p.name in config:
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
