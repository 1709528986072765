"""Gaussian processes of past tasks, which foretell losses of configs that a task has not evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autometa.policies.kernel import Matern, most_likely_length
from autometa.policies.own_process import tamed

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOISE = 0.02  # variance of a loss relative to the signal's
MOST = 400  # configs that a surrogate is fitted to, evenly taken


@dataclass(frozen=True)
class Surrogates:
    """One process for each of S tasks that have evaluated the same n configs.

    Attributes:
        kernel: over the points of the n configs, shape (n, t).
        weights: of each config for each task, shape (S, n).
        middle, spread: of the losses of each task, shape (S, 1).
    """

    kernel: Matern
    weights: NDArray[np.float64]
    middle: NDArray[np.float64]
    spread: NDArray[np.float64]

    @classmethod
    def fit(cls, points: NDArray[np.float64], losses: NDArray[np.float64]) -> Surrogates:
        """Fit them.

        Args:
            points: of the evaluated configs, shape (n, t).
            losses: theirs, raw, at least one of each task finite, infinite where failed, shape (S, n).
        """
        some = np.unique(np.linspace(0, len(points) - 1, min(MOST, len(points))).astype(int))
        points, tables = points[some], np.array([tamed_with_failures(row) for row in losses])[:, some]
        middle = tables.mean(axis=1, keepdims=True)
        spread = np.maximum(tables.std(axis=1, keepdims=True), np.finfo(float).tiny)
        standard = (tables - middle) / spread
        kernel = Matern(points, most_likely_length(points, standard, NOISE))
        covariance = kernel.between(points, points) + NOISE * np.eye(len(points))
        return cls(kernel, np.linalg.solve(covariance, standard.T).T, middle, spread)

    def foretell(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean losses at C points, shape (C, t): raw, shape (S, C)."""
        return np.asarray(self.middle + self.spread * (self.weights @ self.kernel.between(self.kernel.points, points)))


def tamed_with_failures(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Losses of one task, tamed; failures are as bad as the worst."""
    finite = np.isfinite(losses)
    known = tamed(losses[finite])
    filled = np.full(len(losses), known.max())
    filled[finite] = known
    return filled
