"""Prior tasks: what policies learn from, as one table of losses by task and config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.stats import rankdata

from autometa.pool import Pool
from autometa.space import key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.records.collection import Collection

Scaling = Literal["min_max", "ranks", "top_half"]
FEWEST = 5  # evaluated configs of a task that is to teach anything


@dataclass(frozen=True, eq=False)
class PriorTasks:
    """Losses of S tasks on the C configs of a pool.

    Attributes:
        pool: the configs.
        names: of the tasks.
        losses: lower is better, shape (S, C); NaN where not evaluated, infinite where failed.
        features: what is known of each task's dataset.
    """

    pool: Pool
    names: tuple[str, ...]
    losses: NDArray[np.float64]
    features: tuple[Mapping[str, float | str], ...] = ()

    @classmethod
    def of(cls, collection: Collection, tasks: Sequence[int] | None = None) -> PriorTasks:
        """Tasks of a collection on the configs that more than one of its tasks has.

        A config that one task alone has says what that task chose, not what is good: it is left out.

        Args:
            collection: recorded tasks.
            tasks: which of them, by number; None for all.
        """
        rows = np.arange(len(collection.names)) if tasks is None else np.asarray(tasks, np.intp)
        columns = np.flatnonzero(collection.shared)
        part = np.ix_(rows, columns)
        losses = np.where(np.isnan(collection.full[part]) & collection.evaluated[part], np.inf, collection.full[part])
        taught = np.isfinite(losses).sum(axis=1) >= FEWEST
        rows = rows[taught]
        return cls(
            collection.pool(columns),
            tuple(collection.names[i] for i in rows),
            losses[taught],
            tuple(collection.features(i) for i in rows),
        )

    @classmethod
    def join(cls, parts: Sequence[PriorTasks]) -> PriorTasks:
        """The tasks of several, on all their configs."""
        pool = parts[0].pool
        more = {key(c): c for part in parts[1:] for c in part.pool if pool.place(c) is None}
        if more:
            pool = Pool(pool.space, [*pool, *more.values()])
        aligned = [part.on(pool) for part in parts]
        return cls(
            pool,
            tuple(name for part in aligned for name in part.names),
            np.concatenate([part.losses for part in aligned]),
            tuple(f for part in aligned for f in part.features),
        )

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _on(self) -> dict[Pool, PriorTasks]:
        return {}

    def on(self, pool: Pool) -> PriorTasks:
        """The same tasks on another pool; what they have not evaluated is NaN there."""
        if pool is self.pool:
            return self
        if pool not in self._on:
            losses = np.full((len(self), len(pool)), np.nan)
            for i, config in enumerate(pool):
                place = self.pool.place(config)
                if place is not None:
                    losses[:, i] = self.losses[:, place]
            taught = np.isfinite(losses).sum(axis=1) >= FEWEST
            self._on.clear()  # one pool at a time: whoever asks with lists would fill the memory
            self._on[pool] = replace(
                self,
                pool=pool,
                names=tuple(name for name, keep in zip(self.names, taught, strict=True) if keep),
                losses=losses[taught],
                features=tuple(f for f, keep in zip(self.features, taught, strict=False) if keep),
            )
        return self._on[pool]

    def scaled(self, how: Scaling) -> NDArray[np.float64]:
        """Losses made comparable, in [0, 1], without gaps, shape (S, C).

        "min_max": the best of a task is 0, the worst 1. "ranks": by rank. "top_half": min-max up to the median, which
        is 1. A failed config is 1. A config that a task has not evaluated gets the mean of the tasks that have.
        """
        if how not in self._scaled:
            table = _min_max(self.losses) if how == "min_max" else np.array([_scale(row, how) for row in self.losses])
            table = table.reshape(self.losses.shape)
            known = ~np.isnan(table)
            if not known.all():
                mean = np.where(known, table, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
                mean[~known.any(axis=0)] = 0.5
                table = np.where(known, table, mean)
            self._scaled[how] = table
        return self._scaled[how]

    @cached_property
    def _scaled(self) -> dict[str, NDArray[np.float64]]:
        return {}


def _min_max(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape (S, C), all tasks at once: it is asked for at every proposal."""
    finite = np.isfinite(losses)
    low = losses.min(axis=1, keepdims=True, where=finite, initial=np.inf)
    high = losses.max(axis=1, keepdims=True, where=finite, initial=-np.inf)
    scaled = losses - low
    scaled /= np.where(high > low, high - low, 1.0)
    scaled[np.isinf(losses)] = 1.0
    return np.asarray(scaled)


def _scale(losses: NDArray[np.float64], how: Scaling) -> NDArray[np.float64]:
    """Of one task, by "ranks" or "top_half", shape (C,)."""
    known = ~np.isnan(losses)
    finite = np.isfinite(losses)
    scaled = np.full(len(losses), np.nan)
    if how == "ranks":
        scaled[known] = (rankdata(losses[known]) - 1) / max(known.sum() - 1, 1)
        return scaled
    low = losses[finite].min()
    high = np.median(np.where(finite, losses, np.inf)[known])
    if not np.isfinite(high):
        high = losses[finite].max()
    scaled[finite] = np.minimum((losses[finite] - low) / (high - low), 1.0) if high > low else 0.0
    scaled[known & ~finite] = 1.0
    return scaled
