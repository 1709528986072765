"""What the trials of a task say by themselves: the cold expert beside all that prior tasks teach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular

from autometa.policies.gaussian import Belief, LossScale
from autometa.policies.kernel import LENGTHS, Matern

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.pool import Pool

FEWEST = 3  # trials before they say anything
NOISE = 0.01  # variance relative to the signal's
_USUAL, _SPREAD = 1.2, 0.7  # length before any trial, and the sd of its logarithm
_WORST = 3.0  # spreads above the median at which a loss counts as simply bad


def own_belief(pool: Pool, places: NDArray[np.intp], losses: NDArray[np.float64]) -> Belief:
    """A Gaussian process of zero mean at the most probable length, its scale and shift inferred.

    Args:
        pool: C configs.
        places: of n trials, n >= FEWEST.
        losses: theirs, raw; see :func:`tamed`.
    """
    spread = float(losses.std())
    standard = (losses - losses.mean()) / (spread if spread > 0 else 1.0)
    points = pool.inputs[places]
    best, chosen = -np.inf, LENGTHS[0]
    for length in LENGTHS:
        factor = np.linalg.cholesky(Matern(points, length).between(points, points) + NOISE * np.eye(len(points)))
        solved = solve_triangular(factor, standard, lower=True, check_finite=False)
        signal = max(float(solved @ solved) / len(points), 1e-6)  # at its most likely value
        evidence = -0.5 * len(points) * np.log(signal) - np.log(np.diag(factor)).sum()
        evidence -= 0.5 * (np.log(length / _USUAL) / _SPREAD) ** 2
        if evidence > best:
            best, chosen = evidence, length
    return Belief(np.zeros(len(pool)), Matern(pool.inputs, chosen), LossScale.vague(losses), NOISE)


def tamed(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Losses of which none is so bad that the others look alike: what is far above the median is brought down to it."""
    middle, low, high = np.median(losses), losses.min(), np.quantile(losses, 0.75)
    spread = max(middle - low, high - middle)
    return np.asarray(np.minimum(losses, middle + _WORST * spread) if spread > 0 else losses)
