"""The mean of the prior tasks, and a Gaussian process for what the new task does otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autometa.policies.believing import BeliefPolicy
from autometa.policies.gaussian import Belief, LossScale
from autometa.policies.kernel import Matern, most_likely_length

if TYPE_CHECKING:
    from autometa.records.prior_tasks import PriorTasks

NOISE = 0.05  # variance relative to the signal's


class SourceMeanPolicy(BeliefPolicy):
    """Expected improvement under a GP whose mean is that of the prior tasks.

    Length and variance of the residual process are the most likely ones on the prior tasks themselves.

    Args:
        prior: the prior tasks.
    """

    def belief(self, prior: PriorTasks) -> Belief:
        """Before any trial."""
        scaled = prior.scaled("min_max")
        mean = scaled.mean(axis=0)
        apart = scaled - mean
        variance = max(float(apart.var()), 1e-6)
        covariance = Matern(prior.pool.inputs, most_likely_length(prior.pool.inputs, apart, NOISE), variance)
        return Belief(mean, covariance, LossScale.fit(scaled, prior.losses), noise=NOISE * variance)
