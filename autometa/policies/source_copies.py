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
    kept = copies.weight > LEAST_WEIGHT
    size = np.maximum(copies.scale[kept], 1e-9)
    best = (observed.losses.min() - copies.shift[kept]) / size
    improvement = expected_improvement(scaled[kept], np.full((1, 1), BLUR), best[:, None])
    return np.asarray((copies.weight[kept] * size) @ improvement)


def agreement(prior: PriorTasks, observed: Observed, scale: LossScale) -> NDArray[np.float64]:
    """How probable it is that the trials are those of a copy of each prior task, shape (S,); see above."""
    return _explain(prior.scaled("min_max")[:, observed.places], observed.losses, scale).weight


def _scale_of(prior: PriorTasks) -> LossScale:
    return LossScale.fit(prior.scaled("min_max"), prior.losses)


def _explain(seen: NDArray[np.float64], losses: NDArray[np.float64], prior: LossScale) -> _Copies:
    """The regressions of n losses on each task's scaled losses of the same configs, shape (S, n)."""
    n = len(losses)
    usual = np.exp(prior.log_scale)
    spread = usual * prior.log_scale_sd  # of the scale, to first order
    noise = (NOISE * usual) ** 2
    # About the middle of the prior, where the numbers are small: precision of (shift, scale), and precision times mean.
    apart = losses - prior.shift - usual * seen
    p_11 = 1.0 / prior.shift_sd**2 + n / noise
    p_12 = seen.sum(axis=1) / noise
    p_22 = 1.0 / spread**2 + (seen**2).sum(axis=1) / noise
    h_1 = apart.sum(axis=1) / noise
    h_2 = (seen * apart).sum(axis=1) / noise
    determinant = p_11 * p_22 - p_12**2
    shift = (p_22 * h_1 - p_12 * h_2) / determinant
    scale = (p_11 * h_2 - p_12 * h_1) / determinant
    # Of the evidence, what differs between tasks.
    evidence = 0.5 * (shift * h_1 + scale * h_2 - (apart**2).sum(axis=1) / noise) - 0.5 * np.log(determinant)
    weight = np.exp(evidence - evidence.max())
    return _Copies(weight / weight.sum(), prior.shift + shift, usual + scale)
