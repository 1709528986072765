"""Exact Gaussian inference over a pool for losses that are known up to shift and scale.

    y = shift + scale * f + noise,    f ~ N(mean, covariance) over the C configs of the pool

f is what the prior tasks taught, in scaled losses; shift and scale differ from task to task and are inferred: the
scale by its most probable value, the shift exactly, given the scale. Their prior is what they were on the prior tasks.

Symbols: n trials, C configs, a = L^-1 m, o = L^-1 1, b = L^-1 (y - shift0) with L the Cholesky factor of the
covariance of the n trials.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotri

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SCALES = np.linspace(-2.5, 2.5, 21)  # in standard deviations of the logarithm
LEAST = 1e-9  # what is divided by, or rooted, is not smaller
_TO_SD = 1.4826  # of the median absolute deviation, for a normal


class Covariance(Protocol):
    """A covariance over C configs that is never written out whole: pools can be large."""

    @property
    def variances(self) -> NDArray[np.float64]:
        """Its diagonal, shape (C,)."""
        ...

    def rows(self, places: NDArray[np.intp]) -> NDArray[np.float64]:
        """Of n configs with all, shape (n, C)."""
        ...


@dataclass(frozen=True)
class LowRank:
    """factors factors^T + diag(diagonal).

    Attributes:
        factors: shape (C, r).
        diagonal: shape (C,).
    """

    factors: NDArray[np.float64]
    diagonal: NDArray[np.float64]

    @property
    def variances(self) -> NDArray[np.float64]:
        """Its diagonal, shape (C,)."""
        return np.asarray((self.factors**2).sum(axis=1) + self.diagonal)

    def rows(self, places: NDArray[np.intp]) -> NDArray[np.float64]:
        """Of n configs with all, shape (n, C)."""
        found = self.factors[places] @ self.factors.T
        found[np.arange(len(places)), places] += self.diagonal[places]
        return found


@dataclass(frozen=True)
class Sum:
    """One covariance and so many times another."""

    one: Covariance
    other: Covariance
    times: float = 1.0

    @property
    def variances(self) -> NDArray[np.float64]:
        """Its diagonal, shape (C,)."""
        return np.asarray(self.one.variances + self.times * self.other.variances)

    def rows(self, places: NDArray[np.intp]) -> NDArray[np.float64]:
        """Of n configs with all, shape (n, C)."""
        found = self.times * self.other.rows(places)
        found += self.one.rows(places)
        return found


@dataclass(eq=False)
class Remembered:
    """A covariance that keeps the rows it gave last: beliefs that differ in little else ask for the same ones."""

    covariance: Covariance
    _last: tuple[bytes, NDArray[np.float64]] | None = field(default=None, repr=False)

    @property
    def variances(self) -> NDArray[np.float64]:
        """Its diagonal, shape (C,)."""
        return self.covariance.variances

    def rows(self, places: NDArray[np.intp]) -> NDArray[np.float64]:
        """Of n configs with all, shape (n, C); not to be written to."""
        asked = places.tobytes()
        if self._last is None or self._last[0] != asked:
            found = self.covariance.rows(places)
            found.flags.writeable = False
            self._last = (asked, found)
        return self._last[1]


@dataclass(frozen=True)
class LossScale:
    """How raw losses of a task may come out of scaled ones: medians and spreads over prior tasks.

    Attributes:
        shift, shift_sd: raw loss where the scaled one is 0.
        log_scale, log_scale_sd: logarithm of the raw loss per unit of scaled loss.
    """

    shift: float
    shift_sd: float
    log_scale: float
    log_scale_sd: float

    @classmethod
    def fit(cls, scaled: NDArray[np.float64], raw: NDArray[np.float64]) -> LossScale:
        """From the losses of S tasks on C configs, both of shape (S, C); raw ones may be NaN or infinite."""
        known = np.isfinite(raw)
        lowest = scaled.min(axis=1, where=known, initial=np.inf)
        varied = scaled.max(axis=1, where=known, initial=-np.inf) > lowest  # a constant task has no scale
        if not varied.any():
            return cls(0.0, 1.0, 0.0, 1.0)
        count = known.sum(axis=1)
        middle = np.einsum("sc,sc->s", known, scaled) / np.maximum(count, 1)
        centred = np.where(known, scaled - middle[:, None], 0.0)
        y = raw if known.all() else np.where(known, raw, 0.0)
        squares = np.maximum(np.einsum("sc,sc->s", centred, centred), LEAST)
        slopes = np.einsum("sc,sc->s", centred, y) / squares
        shifts = y.sum(axis=1) / np.maximum(count, 1) - slopes * middle
        shift, shift_sd = middle_and_spread(shifts[varied])
        log_scale, log_scale_sd = middle_and_spread(np.log(np.maximum(slopes[varied], LEAST)))
        # Prior tasks that all agree do not make the new one certain.
        return cls(shift, max(shift_sd, 0.01 * float(np.exp(log_scale))), log_scale, max(log_scale_sd, 0.05))

    @classmethod
    def vague(cls, losses: NDArray[np.float64], *, middle: float = 0.0, sd: float = 1.0) -> LossScale:
        """Where no prior task tells, from the n >= 1 losses of the task itself.

        Args:
            losses: raw ones, finite, shape (n,).
            middle: mean of scaled losses.
            sd: their standard deviation.
        """
        spread = deviation(losses) or max(abs(float(losses[0])), 1.0)
        scale = spread / sd
        return cls(float(np.median(losses)) - middle * scale, 2.0 * spread, float(np.log(scale)), 0.7)


def inverse_of(factor: NDArray[np.float64]) -> NDArray[np.float64]:
    """(L L^T)^-1, shape (n, n), by a third of the work of solving for it."""
    lower, _ = dpotri(factor, lower=True)
    return np.asarray(np.tril(lower) + np.tril(lower, -1).T)


def deviation(values: NDArray[np.float64]) -> float:
    """The standard deviation; of equal numbers it is 0, though their mean is rounded."""
    return float(values.std()) if np.ptp(values) > 0 else 0.0


def middle_and_spread(values: NDArray[np.float64]) -> tuple[float, float]:
    """The median, and the median distance from it as the standard deviation of a normal."""
    middle = float(np.median(values))
    return middle, _TO_SD * float(np.median(np.abs(values - middle)))


@dataclass(frozen=True)
class Belief:
    """A Gaussian over the scaled losses of a pool.

    Attributes:
        mean: shape (C,).
        covariance: over the C configs.
        scale: prior of shift and scale.
        noise: variance of a scaled loss about its mean over repetitions.
    """

    mean: NDArray[np.float64]
    covariance: Covariance
    scale: LossScale
    noise: float = 1e-3

    def given(self, places: NDArray[np.intp], losses: NDArray[np.float64]) -> Posterior:
        """The belief after n trials.

        Args:
            places: of the trials' configs in the pool, each once, shape (n,).
            losses: raw ones, shape (n,).
        """
        if not len(places):
            sd, scale = np.sqrt(np.maximum(self.covariance.variances, LEAST)), float(np.exp(self.scale.log_scale))
            return Posterior(self.mean, sd, float(self.mean.mean()), scale, self.scale.shift)
        return self.fit(places, losses).posterior

    def left_out(self, places: NDArray[np.intp], losses: NDArray[np.float64]) -> NDArray[np.float64]:
        """The log density of each of n >= 2 raw losses given the others, at the most probable scale, shape (n,)."""
        return self.fit(places, losses).left_out

    def fit(self, places: NDArray[np.intp], losses: NDArray[np.float64]) -> Fit:
        """What n >= 1 trials speak for; arguments as of :meth:`given`."""
        n = len(places)
        cross = self.covariance.rows(places)
        factor = np.linalg.cholesky(cross[:, places] + self.noise * np.eye(n))
        sides = np.stack([self.mean[places], np.ones(n), losses - self.scale.shift], axis=1)
        a, o, b = solve_triangular(factor, sides, lower=True, check_finite=False).T
        found = most_probable(self.scale, a, o, b)
        return Fit(
            self, places, losses, cross, np.asarray(factor), o,
            found.residuals, found.scale, found.shift, found.precision,
        )  # fmt: skip


class MostProbable(NamedTuple):
    """The scale and the shift that trials speak for; see :class:`Fit`."""

    residuals: NDArray[np.float64]
    scale: float
    shift: float
    precision: float


def most_probable(
    prior: LossScale, a: NDArray[np.float64], o: NDArray[np.float64], b: NDArray[np.float64]
) -> MostProbable:
    """The most probable scale, and the shift given it; a, o and b of shape (n,) as in the symbols above."""
    scales = np.exp(prior.log_scale + prior.log_scale_sd * _SCALES)
    shift_variance = (prior.shift_sd / scales) ** 2  # in units of f
    apart = b / scales[:, None] - a
    shifts = (apart @ o) / (o @ o + 1.0 / shift_variance)
    residuals = apart - shifts[:, None] * o
    evidence = (
        -0.5 * (residuals**2).sum(axis=1)
        - 0.5 * shifts**2 / shift_variance
        - 0.5 * np.log1p(shift_variance * (o @ o))
        - len(o) * np.log(scales)
        - 0.5 * _SCALES**2
    )
    best = int(np.argmax(evidence))
    precision = float(o @ o + 1.0 / shift_variance[best])
    return MostProbable(residuals[best], float(scales[best]), float(shifts[best]), precision)


@dataclass(frozen=True, eq=False)
class Fit:
    """The scale and the shift that n trials speak for, and what follows from them.

    Attributes:
        belief: before the trials.
        places, losses: of the trials, shape (n,).
        cross: covariance of the trials with all configs, shape (n, C).
        factor: L, shape (n, n).
        ones, residuals: L^-1 of ones, and of what mean and shift leave of the losses, shape (n,).
        scale: raw loss per unit of f.
        shift: in units of f, beside the prior's.
        precision: of the shift, given the trials.
    """

    belief: Belief
    places: NDArray[np.intp]
    losses: NDArray[np.float64]
    cross: NDArray[np.float64]
    factor: NDArray[np.float64]
    ones: NDArray[np.float64]
    residuals: NDArray[np.float64]
    scale: float
    shift: float
    precision: float

    @cached_property
    def posterior(self) -> Posterior:
        """The belief after the trials."""
        belief = self.belief
        v = solve_triangular(self.factor, self.cross, lower=True, check_finite=False)
        # The next loss is f plus the shift, which the n trials tell of as well.
        variance = belief.covariance.variances - (v**2).sum(axis=0) + (1.0 - self.ones @ v) ** 2 / self.precision
        observed = (self.losses - belief.scale.shift) / self.scale - self.shift
        return Posterior(
            belief.mean + self.residuals @ v,
            np.sqrt(np.maximum(variance, LEAST)),
            float(observed.min()),
            self.scale,
            belief.scale.shift + self.scale * self.shift,
        )

    @cached_property
    def left_out(self) -> NDArray[np.float64]:
        """See :meth:`Belief.left_out`."""
        inverse = inverse_of(self.factor)
        told = inverse.sum(axis=1)
        inverse -= np.outer(told, told) / self.precision
        variances = 1.0 / np.diag(inverse)
        apart = inverse @ ((self.losses - self.belief.scale.shift) / self.scale - self.belief.mean[self.places])
        apart *= variances
        return np.asarray(-0.5 * (np.log(2 * np.pi * variances) + apart**2 / variances) - np.log(self.scale))


@dataclass(frozen=True)
class Posterior:
    """What is believed of a pool, in scaled losses.

    Attributes:
        mean, sd: of what a trial of each config would show, shape (C,).
        best: the lowest loss seen; before any trial the mean over the pool.
        scale, shift: raw losses are shift + scale * scaled ones.
    """

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    best: float
    scale: float
    shift: float
