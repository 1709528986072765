"""A prior over functions read off the prior tasks: the mean and covariance of their losses over the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autometa.policies.acquisition import expected_improvement
from autometa.policies.gaussian import Belief, LossScale, LowRank
from autometa.policies.scored import ScoredPolicy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.policies.candidates import Observed
    from autometa.records.prior_tasks import PriorTasks, Scaling

SHRINKAGE = 0.01  # of the covariance towards its diagonal


class EmpiricalCovariancePolicy(ScoredPolicy):
    """Expected improvement under a Gaussian with the prior tasks' mean and covariance.

    The finite-pool form of what HyperBO learns with a network (Wang et al. 2024, "Pre-trained Gaussian processes for
    Bayesian optimization"), with shift and scale of the losses inferred.

    Args:
        prior: the prior tasks.
        scaling: of their losses.
    """

    def __init__(self, prior: PriorTasks, scaling: Scaling = "min_max") -> None:
        super().__init__(prior)
        self._scaling = scaling

    def belief(self, prior: PriorTasks) -> Belief:
        """Before any trial."""
        scaled = prior.scaled(self._scaling)
        mean = scaled.mean(axis=0)
        factors = (scaled - mean).T / np.sqrt(max(len(scaled) - 1, 1))
        covariance = LowRank(np.sqrt(1 - SHRINKAGE) * factors, SHRINKAGE * (factors**2).sum(axis=1))
        return Belief(mean, covariance, LossScale.fit(scaled, prior.losses))

    def score(self, prior: PriorTasks, observed: Observed) -> NDArray[np.float64]:
        """Expected improvement; before any trial the lowest mean."""
        belief = self.memo(prior, self.belief)
        if not len(observed.places):
            return -belief.mean
        posterior = belief.given(observed.places, observed.losses)
        return expected_improvement(posterior.mean, posterior.sd, posterior.best)
