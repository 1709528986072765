"""Which recorded tasks are about the same data, so that they never stand on both sides of a split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from autometa.records.collection import Collection

TWINS = 0.98  # rank correlation of the losses above which two tasks are taken for one
FEWEST = 20  # configs that both tasks have, for the correlation to say so


def groups(collection: Collection, same: Iterable[tuple[str, str]] = ()) -> NDArray[np.intp]:
    """The group of each task, shape (T,): one family, or near-duplicates by their losses.

    Args:
        collection: recorded tasks.
        same: pairs of task names that are known to be one dataset.
    """
    joined = Joined(len(collection.names))
    first: dict[str, int] = {}
    for i, dataset in enumerate(collection.card.datasets):
        joined.join(i, first.setdefault(dataset.family or dataset.name, i))
    place = {name: i for i, name in enumerate(collection.names)}
    for one, other in same:
        joined.join(place[one], place[other])
    losses = collection.full[:, collection.shared]
    for i, j in twins(losses, losses):
        joined.join(i, j)
    return np.unique([joined.root(i) for i in range(len(collection.names))], return_inverse=True)[1]


def twins(losses: NDArray[np.float64], others: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Pairs of tasks whose losses are ranked alike by the configs that both have.

    Args:
        losses: shape (T, C), NaN where there is none.
        others: of other tasks on the same configs, shape (T2, C).
    """
    if losses.shape[1] < FEWEST:
        return []
    whole = not (np.isnan(losses).any() or np.isnan(others).any())
    found = _correlations(losses, others) > TWINS if whole else _pairwise(losses, others)
    return [(int(i), int(j)) for i, j in np.argwhere(found)]


def _correlations(losses: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    ranked = []
    for table in (losses, others):
        ranks = rankdata(table, axis=1)
        centred = ranks - ranks.mean(axis=1, keepdims=True)
        norm = np.linalg.norm(centred, axis=1, keepdims=True)
        ranked.append(centred / np.where(norm > 0, norm, np.inf))
    return np.asarray(ranked[0] @ ranked[1].T)


def _pairwise(losses: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    found = np.zeros((len(losses), len(others)), np.bool_)
    for i, one in enumerate(losses):
        for j, other in enumerate(others):
            if others is losses and j <= i:
                found[i, j] = found[j, i]
                continue
            both = ~np.isnan(one) & ~np.isnan(other)
            if both.sum() >= FEWEST:
                found[i, j] = _correlations(one[None, both], other[None, both])[0, 0] > TWINS
    return found


class Joined:
    """Disjoint sets of the numbers below n."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def root(self, i: int) -> int:
        """The number that stands for the set of a number."""
        while self._parent[i] != i:
            i = self._parent[i]
        return i

    def join(self, i: int, j: int) -> None:
        """Make the sets of two numbers one."""
        self._parent[self.root(i)] = self.root(j)
