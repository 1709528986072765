"""Which prior tasks a replayed policy may learn from: none that is about the data it is tried on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from autometa.errors import InputError
from autometa.records.groups import groups, twins
from autometa.records.prior_tasks import PriorTasks

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

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
    _priors: dict[int, PriorTasks] = field(default_factory=dict, repr=False)

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

    def part(self, number: int) -> Hashable:
        """Equal for tasks on which the same may be known."""
        return int(self.fold[number])

    def prior(self, number: int) -> PriorTasks:
        """What may be known on a task: all tasks of the other folds."""
        fold = int(self.fold[number])
        if fold not in self._priors:
            rows = [] if self.group.max() == 0 else np.flatnonzero(self.fold != fold).tolist()
            self._priors[fold] = PriorTasks.of(self.collection, rows)
        return self._priors[fold]


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
    _priors: dict[Hashable, PriorTasks] = field(default_factory=dict, repr=False)

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

    def part(self, number: int) -> Hashable:
        """Equal for tasks on which the same may be known."""
        mates = np.flatnonzero(self.group == self.group[number])
        families = {self.collection.card.datasets[i].family for i in mates}
        for other, twin in zip(self.others, self._twins, strict=True):
            families |= {other.card.datasets[j].family for i, j in twin if i in mates}
        return tuple(
            tuple(j for j, d in enumerate(other.card.datasets) if d.family not in families) for other in self.others
        )

    def prior(self, number: int) -> PriorTasks:
        """What may be known on a task: all but its group's families, near-duplicates, and the families of these."""
        kept = self.part(number)
        if kept not in self._priors:
            assert isinstance(kept, tuple)
            self._priors[kept] = PriorTasks.join(
                [PriorTasks.of(other, rows) for other, rows in zip(self.others, kept, strict=True)]
            )
        return self._priors[kept]

    @cached_property
    def _twins(self) -> list[set[tuple[int, int]]]:
        """For each of the others, pairs of a task here and a task there that are ranked alike."""
        columns = np.flatnonzero(self.collection.evaluated.any(axis=0))
        mine, pool = self.collection.full[:, columns], self.collection.pool(columns)
        found = []
        for other in self.others:
            theirs = np.full((len(other.names), len(pool)), np.nan)
            for place, config in enumerate(other.configs):
                here = pool.place(config)
                if here is not None:
                    theirs[:, here] = other.full[:, place]
            found.append(set(twins(mine, theirs)))
        return found
