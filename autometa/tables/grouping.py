"""Dealing whole groups of rows to folds, with classes spread as evenly as groups allow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Beyond so many, the small ones are dealt in turn: by sheer number they come out even.
_WEIGHED_GROUPS = 5000


def deal_groups(
    groups: NDArray[np.int64], strata: NDArray[np.int64], k: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """A fold per row, the same for the rows of a group.

    The largest group first, each goes to the fold that it leaves most even in size and in
    strata, as in scikit-learn's StratifiedGroupKFold.

    Args:
        groups: a group in 0..g-1 per row, g >= k.
        strata: what is to be spread evenly, in 0..s-1 per row.
        k: folds.
        rng: of ties and of the names of the folds.

    Returns:
        Folds in 0..k-1, none of them empty.
    """
    sizes = np.bincount(groups)
    order = np.lexsort((rng.random(len(sizes)), -sizes))
    fold_of = np.empty(len(sizes), np.int64)
    weighed, rest = order[:_WEIGHED_GROUPS], order[_WEIGHED_GROUPS:]
    width = int(strata.max()) + 1
    place = np.full(len(sizes), -1)
    place[weighed] = np.arange(len(weighed))
    among = place[groups] >= 0
    cells = place[groups[among]] * width + strata[among]
    counts = np.bincount(cells, minlength=len(weighed) * width).reshape(-1, width)
    share = counts / np.maximum(1, np.bincount(strata, minlength=width))
    # The overall size counts like one more stratum.
    share = np.column_stack([share, counts.sum(axis=1) / len(groups)])
    filled = np.zeros((k, width + 1))
    groups_in = np.zeros(k, np.int64)
    for i, group in enumerate(weighed):
        # The sum of squares after adding, less what all folds have in common.
        cost = filled @ share[i]
        left = len(weighed) - i
        empty = groups_in == 0
        if empty.sum() >= left:
            cost = np.where(empty, cost, np.inf)
        fold = int(np.argmin(cost))
        fold_of[group] = fold
        filled[fold] += share[i]
        groups_in[fold] += 1
    fold_of[rest] = np.arange(len(rest)) % k
    return rng.permutation(k)[fold_of][groups]
