"""How much one column says about the target on its own: cheap, for any mix of types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 12  # quantile bins of a number column
LEVELS = 30  # most frequent levels of a category column; the others count as one


def binned(numbers: NDArray[np.floating], *, bins: int = BINS) -> NDArray[np.int64]:
    """Quantile bins 0, 1, ... of numbers, shape (r,); missing values get a bin of their own."""
    known = numbers[np.isfinite(numbers)]
    if not len(known):
        return np.zeros(len(numbers), np.int64)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))
    codes = np.searchsorted(edges, numbers, side="right").astype(np.int64)
    return np.where(np.isfinite(numbers), codes, len(edges) + 1)


def common_levels(codes: NDArray[np.integer], *, levels: int = LEVELS) -> NDArray[np.int64]:
    """Codes 0, 1, ... with all but the most frequent levels merged; any integers go in, shape (r,)."""
    _, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return np.minimum(rank, levels)[inverse]


def correlation_ratio(groups: NDArray[np.int64], target: NDArray[np.generic]) -> float:
    """Root of the share of the target's variance that lies between groups, in [0, 1].

    For classes the variance is the Gini impurity (Goodman and Kruskal's tau), for numbers that of
    their ranks, so that a few huge values do not decide. Adjusted for the number of groups: about 0
    for a column that says nothing.

    Args:
        groups: small codes from 0 on, shape (r,).
        target: int64 class indices or float64 values, shape (r,).
    """
    rows, many = len(groups), int(groups.max(initial=0)) + 1
    sizes = np.bincount(groups, minlength=many).astype(np.float64)
    used = sizes > 0
    if rows < 3 or used.sum() < 2:
        return 0.0
    if np.issubdtype(target.dtype, np.integer):
        classes = int(target.max()) + 1
        flat = np.bincount(groups * classes + target.astype(np.int64), minlength=many * classes)
        table = flat.reshape(many, classes).astype(np.float64)
        centre = (table.sum(axis=0) ** 2).sum() / rows
        total = rows - centre
        between = ((table**2).sum(axis=1)[used] / sizes[used]).sum() - centre
    else:
        _, place, times = np.unique(target, return_inverse=True, return_counts=True)
        ranks = (np.cumsum(times) - (times - 1) / 2)[place]
        ranks -= ranks.mean()
        sums = np.bincount(groups, weights=ranks, minlength=many)
        total = float((ranks**2).sum())
        between = (sums[used] ** 2 / sizes[used]).sum()
    if total <= 0:
        return 0.0
    free = rows - int(used.sum())
    share = 1 - (1 - between / total) * (rows - 1) / free if free > 0 else 0.0
    return float(np.sqrt(np.clip(share, 0.0, 1.0)))
