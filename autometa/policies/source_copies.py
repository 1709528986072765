"""The new task as a copy of a prior one, up to shift and scale: of which, the trials so far tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autometa.policies.acquisition import expected_improvement
from autometa.policies.gaussian import LossScale
from autometa.policies.scored import ScoredPolicy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.policies.candidates import Observed
    from autometa.records.prior_tasks import PriorTasks

NOISE = 0.2  # standard deviation of a trial about the copy that it is judged by, in scaled losses
BLUR = 0.05  # standard deviation of what a copy foretells: the new task is like a prior one, not the same
LEAST_WEIGHT = 1e-3  # tasks below it are not looked at


@dataclass(frozen=True)
class _Copies:
    """What S prior tasks say of n trials: posterior weight, shift and scale of each, shape (S,)."""

    weight: NDArray[np.float64]
    shift: NDArray[np.float64]
    scale: NDArray[np.float64]


class SourceCopiesPolicy(ScoredPolicy):
    """Expected improvement if the task were one of the prior tasks, weighted by how well each explains the trials.

    A prior task explains them as shift + scale * its scaled losses + noise, a Bayesian linear regression of its own
    with the shifts and scales of the prior tasks as prior; its weight is the evidence.

    Args:
        prior: the prior tasks.
    """

    def score(self, prior: PriorTasks, observed: Observed) -> NDArray[np.float64]:
        """Expected improvement in raw losses; before any trial the lowest mean."""
        if not len(observed.places):
            return np.asarray(-prior.scaled("min_max").mean(axis=0))
        return improvement_on_copies(prior, observed, self.memo(prior, _scale_of))


def improvement_on_copies(prior: PriorTasks, observed: Observed, scale: LossScale) -> NDArray[np.float64]:
    """Expected improvement in raw losses, given at least one trial, shape (C,).

    Args:
        prior: S prior tasks on the pool.
        observed: the trials.
        scale: of the raw losses.
    """
    scaled = prior.scaled("min_max")
    copies = _explain(scaled[:, observed.places], observed.losses, scale)
    return _improvement(copies, scaled, float(observed.losses.min()))


class GrowingCopies:
    """:func:`improvement_on_copies` with one trial after another, on K configs of the pool.

    Args:
        prior: S prior tasks on the pool.
        observed: the trials so far.
        scale: of the raw losses.
        kept: places of the K configs, shape (K,).
    """

    def __init__(self, prior: PriorTasks, observed: Observed, scale: LossScale, kept: NDArray[np.intp]) -> None:
        scaled = prior.scaled("min_max")
        self._scale, self._scaled = scale, scaled[:, kept]
        self._sums = _Sums.of(scaled[:, observed.places], observed.losses, scale)
        self._least = float(observed.losses.min())

    def add(self, place: int, loss: float) -> None:
        """Take in a trial of the config at one of the K places."""
        self._sums += _Sums.of(self._scaled[:, [place]], np.array([loss]), self._scale)
        self._least = min(self._least, loss)

    @property
    def improvement(self) -> NDArray[np.float64]:
        """Expected in raw losses, shape (K,)."""
        return _improvement(_told_by(self._sums, self._scale), self._scaled, self._least)


def _improvement(copies: _Copies, scaled: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """On the least raw loss so far, of configs with such losses on the prior tasks, shape (S, C)."""
    kept = copies.weight > LEAST_WEIGHT
    size = np.maximum(copies.scale[kept], 1e-9)
    best = (least - copies.shift[kept]) / size
    improvement = expected_improvement(scaled[kept], np.full((1, 1), BLUR), best[:, None])
    return np.asarray((copies.weight[kept] * size) @ improvement)


def agreement(prior: PriorTasks, observed: Observed, scale: LossScale) -> NDArray[np.float64]:
    """How probable it is that the trials are those of a copy of each prior task, shape (S,); see above."""
    return _explain(prior.scaled("min_max")[:, observed.places], observed.losses, scale).weight


def _scale_of(prior: PriorTasks) -> LossScale:
    return LossScale.fit(prior.scaled("min_max"), prior.losses)


@dataclass(frozen=True)
class _Sums:
    """What the regressions need of n trials: sums over them for each of S prior tasks, shape (S,) but for the count.

    Attributes:
        count: n.
        seen, squares: of the scaled losses and their squares.
        apart, products, rest: of what the middle of the prior leaves of the raw losses, of that times the scaled
            losses, and of its squares. About the middle the numbers are small.
    """

    count: int
    seen: NDArray[np.float64]
    squares: NDArray[np.float64]
    apart: NDArray[np.float64]
    products: NDArray[np.float64]
    rest: NDArray[np.float64]

    @classmethod
    def of(cls, seen: NDArray[np.float64], losses: NDArray[np.float64], prior: LossScale) -> _Sums:
        """Of n losses and each task's scaled losses of the same configs, shape (S, n)."""
        apart = losses - prior.shift - np.exp(prior.log_scale) * seen
        return cls(
            len(losses),
            seen.sum(axis=1),
            (seen**2).sum(axis=1),
            apart.sum(axis=1),
            (seen * apart).sum(axis=1),
            (apart**2).sum(axis=1),
        )

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(
            self.count + other.count,
            self.seen + other.seen,
            self.squares + other.squares,
            self.apart + other.apart,
            self.products + other.products,
            self.rest + other.rest,
        )


def _explain(seen: NDArray[np.float64], losses: NDArray[np.float64], prior: LossScale) -> _Copies:
    """The regressions of n losses on each task's scaled losses of the same configs, shape (S, n)."""
    return _told_by(_Sums.of(seen, losses, prior), prior)


def _told_by(sums: _Sums, prior: LossScale) -> _Copies:
    usual = np.exp(prior.log_scale)
    spread = usual * prior.log_scale_sd  # of the scale, to first order
    noise = (NOISE * usual) ** 2
    # Precision of (shift, scale), and precision times mean.
    p_11 = 1.0 / prior.shift_sd**2 + sums.count / noise
    p_12 = sums.seen / noise
    p_22 = 1.0 / spread**2 + sums.squares / noise
    h_1 = sums.apart / noise
    h_2 = sums.products / noise
    determinant = p_11 * p_22 - p_12**2
    shift = (p_22 * h_1 - p_12 * h_2) / determinant
    scale = (p_11 * h_2 - p_12 * h_1) / determinant
    # Of the evidence, what differs between tasks.
    evidence = 0.5 * (shift * h_1 + scale * h_2 - sums.rest / noise) - 0.5 * np.log(determinant)
    weight = np.exp(evidence - evidence.max())
    return _Copies(weight / weight.sum(), prior.shift + shift, usual + scale)
