"""Which prior tasks a replayed policy may learn from: none that is about the data it is tried on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from autometa.errors import InputError
from autometa.records.groups import groups, twins
from autometa.records.prior_tasks import PriorTasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from autometa.records.collection import Collection


@dataclass(frozen=True, eq=False)
class Folds:
    """The tasks of one collection in folds by dataset: a fold learns from the others.

    Attributes:
        collection: the recorded tasks.
        fold: of each task, shape (T,).
        group: of each task, shape (T,); a group is in one fold.
    """

    collection: Collection
    fold: NDArray[np.intp]
    group: NDArray[np.intp]

    @classmethod
    def deal(cls, collection: Collection, n: int, *, seed: int = 0) -> Folds:
        """Deal the groups to n folds, or to as many as there are groups.

        Raises:
            InputError: n is below 2.
        """
        if n < 2:
            raise InputError(f"there must be two folds at least, to learn from one for the other; got {n}")
        group = groups(collection)
        order = np.random.default_rng(seed).permutation(group.max() + 1)
        fold_of = np.empty(len(order), np.intp)
        fold_of[order] = np.arange(len(order)) % min(n, len(order))
        return cls(collection, fold_of[group], group)

    def prior(self, number: int) -> PriorTasks:
        """What may be known on a task."""
        return self._prior(int(self.fold[number]))

    @lru_cache(maxsize=2)  # noqa: B019 (folds live as long as the replay)
    def _prior(self, fold: int) -> PriorTasks:
        rows = [] if self.group.max() == 0 else np.flatnonzero(self.fold != fold).tolist()
        return PriorTasks.of(self.collection, rows)


@dataclass(frozen=True, eq=False)
class Elsewhere:
    """Prior tasks of other collections on the same space.

    Attributes:
        collection: the tasks that policies are tried on.
        others: where they may learn from.
        group: of each task, shape (T,).
    """

    collection: Collection
    others: tuple[Collection, ...]
    group: NDArray[np.intp]

    @classmethod
    def of(cls, collection: Collection, others: Sequence[Collection]) -> Elsewhere:
        """Prior tasks of other collections.

        Raises:
            InputError: one of them is on another space.
        """
        for other in others:
            if {p.name for p in other.space} != {p.name for p in collection.space}:
                raise InputError(
                    f"sources must be on the space of the replayed tasks, {collection.space.name!r}; "
                    f"{other.card.name} is on {other.space.name!r}"
                )
        return cls(collection, tuple(others), groups(collection))

    def prior(self, number: int) -> PriorTasks:
        """What may be known on a task: all but its family and the near-duplicates of its losses."""
        family = self.collection.card.datasets[number].family
        kept = []
        for i, other in enumerate(self.others):
            duplicates = {j for t, j in self._twins(i) if t == number}
            kept.append(
                tuple(j for j, d in enumerate(other.card.datasets) if d.family != family and j not in duplicates)
            )
        return self._joined(tuple(kept))

    @lru_cache(maxsize=8)  # noqa: B019 (the sources live as long as the replay)
    def _twins(self, i: int) -> list[tuple[int, int]]:
        one, other = self.collection, self.others[i]
        mine = PriorTasks.of(other).on(PriorTasks.of(one).pool)
        losses = np.where(np.isfinite(mine.losses), mine.losses, np.nan)
        names = {name: j for j, name in enumerate(other.names)}
        return [(t, names[mine.names[j]]) for t, j in twins(one.full[:, one.shared], losses)]

    @lru_cache(maxsize=2)  # noqa: B019
    def _joined(self, kept: tuple[tuple[int, ...], ...]) -> PriorTasks:
        return PriorTasks.join([PriorTasks.of(o, rows) for o, rows in zip(self.others, kept, strict=True)])
