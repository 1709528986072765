"""What the trials of a task say by themselves: the cold expert beside all that prior tasks teach.

Symbols: n trials, C configs, t inputs of the kernel, K the kernel of the trials with noise, a = K^-1 y.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_solve, cholesky
from scipy.optimize import minimize

from autometa.policies.gaussian import Belief, LossScale, Remembered, deviation, inverse_of
from autometa.policies.kernel import Matern, distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.pool import Pool

FEWEST = 3  # trials before they say anything
TRIALS_PER_INPUT = 2  # from which on each input has a length of its own
_NOISE = np.log(1e-3), 1.5  # logarithm of the variance relative to the signal's, before any trial, and its sd
_LENGTH_SD = 1.2  # of the logarithm of a length
_ITERATIONS = 20
_WORST = 3.0  # spreads above the median at which a loss counts as simply bad
_GROWTH = 1.25  # of the history between two fits of the lengths
_MOST = 160  # trials that the lengths are fitted to: twice as many take four times as long, and foretell 3 % better


def own_belief(pool: Pool, places: NDArray[np.intp], losses: NDArray[np.float64]) -> Belief:
    """A Gaussian process of zero mean, with a length for each input once trials tell them; scale and shift inferred.

    Lengths and noise are the most probable ones given the first m trials; m grows in steps of a quarter, up to a limit,
    so that most proposals need no new fit. Their prior widens with the number of inputs (Hvarfner, Hellsten and Nardi
    2024, "Vanilla Bayesian Optimization Performs Great in High Dimensions").

    Args:
        pool: C configs.
        places: of n trials, n >= FEWEST, in the order of the trials.
        losses: theirs, raw; see :func:`tamed`.
    """
    first = _fitted_to(len(places))
    lengths, noise = fitted(pool.inputs[places[:first]], losses[:first])
    kernel = Remembered(Matern(pool.inputs / lengths, 1.0))  # asked again where the noise alone changes
    return Belief(np.zeros(len(pool)), kernel, LossScale.vague(losses), noise)


def tamed(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Losses of which none is so bad that the others look alike: what is far above the median is brought down to it."""
    middle, low, high = np.median(losses), losses.min(), np.quantile(losses, 0.75, method="lower")
    spread = max(middle - low, high - middle)
    return np.asarray(np.minimum(losses, middle + _WORST * spread) if spread > 0 else losses)


def _fitted_to(n: int) -> int:
    m = FEWEST
    while (more := max(m + 1, int(m * _GROWTH))) <= min(n, _MOST):
        m = more
    return m


_LAST: dict[bytes, tuple[NDArray[np.float64], float]] = {}  # fits: most proposals ask for the last ones again
_KEPT = 8


def fitted(points: NDArray[np.float64], losses: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """The most probable lengths of the t inputs, and noise, of n points and their losses, shapes (n, t) and (n,)."""
    asked = points.tobytes() + losses.tobytes()
    if asked not in _LAST:
        standard = (losses - losses.mean()) / (deviation(losses) or 1.0)
        varies = np.ptp(points, axis=0) > 0
        count = int(varies.sum())
        usual = 0.5 * np.log(max(count, 1)) - 0.3
        # Too few trials to tell inputs apart: one length for all of them, or they would be fitted to chance.
        own = count if len(losses) >= TRIALS_PER_INPUT * count else min(count, 1)
        found = minimize(
            _energy,
            np.append(np.full(own, usual), _NOISE[0]),
            args=(points[:, varies], standard, usual),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-3.0, 4.0)] * own + [(-9.0, 0.0)],
            options={"maxiter": _ITERATIONS},
        )
        lengths = np.full(points.shape[1], np.exp(usual))
        lengths[varies] = np.exp(found.x[:-1])
        while len(_LAST) >= _KEPT:
            _LAST.pop(next(iter(_LAST)))
        _LAST[asked] = lengths, float(np.exp(found.x[-1]))
    return _LAST[asked]


def _energy(
    logs: NDArray[np.float64], points: NDArray[np.float64], losses: NDArray[np.float64], usual: float
) -> tuple[float, NDArray[np.float64]]:
    """Negative log posterior of the logarithms of lengths and noise, signal integrated out, and its gradient.

    Args:
        logs: logarithms of t lengths, or of one for all inputs, and of the noise, shape (t + 1,) or (2,).
        points: n points, shape (n, t).
        losses: standardised, shape (n,).
        usual: logarithm of a length before any trial.
    """
    n, noise = len(losses), float(np.exp(logs[-1]))
    places = points * np.exp(-logs[:-1])
    scaled = np.sqrt(5.0) * distances(places, places)
    np.fill_diagonal(scaled, 0.0)
    decay = np.exp(-scaled)
    kernel = (1.0 + scaled + scaled**2 / 3.0) * decay + noise * np.eye(n)
    factor = cholesky(kernel, lower=True, check_finite=False)
    a = cho_solve((factor, True), losses, check_finite=False)
    inverse = inverse_of(factor)
    signal = max(float(losses @ a) / n, 1e-9)
    weights = 0.5 * (inverse - np.outer(a, a) / signal)  # of the gradient with respect to the kernel
    # Of the kernel by each input: sums over pairs of a symmetric matrix times the square of how far apart they are.
    pairs = weights * (5.0 / 3.0) * (1.0 + scaled) * decay
    by_length = 2.0 * (pairs.sum(axis=1) @ places**2 - np.einsum("it,it->t", places, pairs @ places))
    if len(logs) == 2:
        by_length = by_length.sum(keepdims=True)
    by_noise = noise * float(np.trace(weights))
    apart = logs - np.append(np.full(len(logs) - 1, usual), _NOISE[0])
    sds = np.append(np.full(len(logs) - 1, _LENGTH_SD), _NOISE[1])
    energy = 0.5 * n * np.log(signal) + np.log(np.diag(factor)).sum() + 0.5 * float(((apart / sds) ** 2).sum())
    return float(energy), np.append(by_length, by_noise) + apart / sds**2
