"""A prior over functions read off the prior tasks: the mean and covariance of their losses over the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autometa.policies.believing import BeliefPolicy
from autometa.policies.gaussian import Belief, LossScale, LowRank

if TYPE_CHECKING:
    from autometa.records.prior_tasks import PriorTasks, Scaling

SHRINKAGE = 0.01  # of the covariance towards its diagonal


class EmpiricalCovariancePolicy(BeliefPolicy):
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
