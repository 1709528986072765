"""A kernel over configs of a conditional space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LENGTHS = (0.3, 0.6, 1.2, 2.4)  # tried, in units of the range of one hyperparameter


@dataclass(frozen=True)
class Matern:
    """Matérn 5/2 of the distance between points.

    Attributes:
        points: of the C configs, such as ``pool.inputs``, shape (C, t).
        length: at which two configs have little to do with each other.
        variance: of each config.
    """

    points: NDArray[np.float64]
    length: float
    variance: float = 1.0

    @property
    def variances(self) -> NDArray[np.float64]:
        """Its diagonal, shape (C,)."""
        return np.full(len(self.points), self.variance)

    def rows(self, places: NDArray[np.intp]) -> NDArray[np.float64]:
        """Of n configs with all, shape (n, C)."""
        return self.between(self.points[places], self.points)

    def between(self, some: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of n points with m others, shape (n, m)."""
        found = matern(distances(some, others), self.length)
        found *= self.variance
        return found


def distances(some: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of n points from m others, shape (n, m), by one product of matrices."""
    squares = some @ (-2.0 * others.T)
    squares += (some**2).sum(axis=1)[:, None]
    squares += (others**2).sum(axis=1)
    return np.asarray(np.sqrt(np.maximum(squares, 0.0, out=squares), out=squares))


def matern(apart: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """The correlation of points so far apart, of the shape of the distances."""
    scaled = np.sqrt(5.0) / length * apart
    decay = np.exp(-scaled)
    shape = scaled / 3.0  # in place from here on: the matrices are large, and what takes time is to write them
    shape += 1.0
    shape *= scaled
    shape += 1.0
    shape *= decay
    return np.asarray(shape)


def most_likely_length(
    points: NDArray[np.float64], tables: NDArray[np.float64], noise: float, *, most: int = 200
) -> float:
    """The length under which losses are most likely, all tasks together.

    Args:
        points: of C configs, shape (C, t).
        tables: centred losses, shape (S, C).
        noise: variance relative to the signal's.
        most: configs that are looked at, evenly taken.
    """
    rows = np.unique(np.linspace(0, len(points) - 1, min(most, len(points))).astype(int))
    y = tables[:, rows].T
    apart = distances(points[rows], points[rows])
    best, chosen = -np.inf, LENGTHS[0]
    for length in LENGTHS:
        factor = np.linalg.cholesky(matern(apart, length) + noise * np.eye(len(rows)))
        solved = np.linalg.solve(factor, y)
        signal = np.maximum((solved**2).mean(axis=0), 1e-12)  # of each task, at its most likely value
        evidence = -0.5 * len(rows) * np.log(signal).sum() - len(signal) * np.log(np.diag(factor)).sum()
        if evidence > best:
            best, chosen = evidence, length
    return chosen
