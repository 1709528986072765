"""The common part of policies that hold a Gaussian belief over the pool: expected improvement under it."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from autometa.policies.acquisition import expected_improvement
from autometa.policies.scored import ScoredPolicy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from autometa.policies.candidates import Observed
    from autometa.policies.gaussian import Belief
    from autometa.records.prior_tasks import PriorTasks


class BeliefPolicy(ScoredPolicy):
    """Expected improvement under a belief that the prior tasks give."""

    @abstractmethod
    def belief(self, prior: PriorTasks) -> Belief:
        """Before any trial."""

    def score(self, prior: PriorTasks, observed: Observed) -> NDArray[np.float64]:
        """Expected improvement; before any trial the lowest mean."""
        belief = self.memo(prior, self.belief)
        if not len(observed.places):
            return -belief.mean
        posterior = belief.given(observed.places, observed.losses)
        return expected_improvement(posterior.mean, posterior.sd, posterior.best)
