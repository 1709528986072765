"""A fit that takes in one trial after another on a part of its pool: what a batch of proposals is made by.

Symbols: n trials, K configs of the pool; a, o, b as in :mod:`autometa.policies.gaussian`; v = L^-1 times the covariance
of the n trials with the K configs. A further trial adds one row to v, which is all that the posterior needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular

from autometa.policies.gaussian import LEAST, Fit, Posterior, most_probable

if TYPE_CHECKING:
    from numpy.typing import NDArray


class GrowingFit:
    """What a fit becomes with more trials; equal to a new fit to all of them.

    Args:
        fit: to n trials.
        kept: places of the K configs, shape (K,).
        more: trials that will be added at most.
    """

    def __init__(self, fit: Fit, kept: NDArray[np.intp], more: int) -> None:
        n, belief = len(fit.places), fit.belief
        self._belief, self._kept, self._n = belief, kept, n
        self._mean, self._variances = belief.mean[kept], belief.covariance.variances[kept]
        self._v = np.empty((n + more, len(kept)))
        self._v[:n] = solve_triangular(fit.factor, fit.cross[:, kept], lower=True, check_finite=False)
        self._sides = np.empty((n + more, 3))
        sides = np.stack([belief.mean[fit.places], np.ones(n), fit.losses - belief.scale.shift], axis=1)
        self._sides[:n] = solve_triangular(fit.factor, sides, lower=True, check_finite=False)
        self._products = self._sides[:n].T @ self._v[:n]  # of a, o and b with v, (3, K)
        self._squares = (self._v[:n] ** 2).sum(axis=0)
        self._least = float(fit.losses.min())

    def add(self, place: int, loss: float) -> None:
        """Take in a trial of the config at one of the K places, which has none yet."""
        v, sides, n, belief = self._v, self._sides, self._n, self._belief
        row = v[:n, place]
        variance = self._variances[place] + belief.noise - row @ row
        pivot = np.sqrt(max(float(variance), LEAST))
        shared = belief.covariance.rows(self._kept[[place]])[0, self._kept]
        v[n] = (shared - row @ v[:n]) / pivot
        sides[n] = (np.array([self._mean[place], 1.0, loss - belief.scale.shift]) - row @ sides[:n]) / pivot
        self._products += np.outer(sides[n], v[n])
        self._squares += v[n] ** 2
        self._least = min(self._least, loss)
        self._n = n + 1

    @property
    def posterior(self) -> Posterior:
        """The belief after the trials, of the K configs."""
        prior = self._belief.scale
        found = most_probable(prior, *self._sides[: self._n].T)
        by_mean, by_one, by_loss = self._products
        told = by_loss / found.scale - by_mean - found.shift * by_one
        variance = self._variances - self._squares + (1.0 - by_one) ** 2 / found.precision
        return Posterior(
            self._mean + told,
            np.sqrt(np.maximum(variance, LEAST)),
            (self._least - prior.shift) / found.scale - found.shift,
            found.scale,
            prior.shift + found.scale * found.shift,
        )
