"""Priors of different kinds complete each other: copies of single tasks, and what all tasks have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autometa.policies.empirical_covariance import EmpiricalCovariancePolicy
from autometa.policies.scored import ScoredPolicy
from autometa.policies.source_copies import SourceCopiesPolicy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.policies.candidates import Observed
    from autometa.records.prior_tasks import PriorTasks


class SourceMixturePolicy(ScoredPolicy):
    """The sum of the expected improvements of copies and of the covariance prior, each over its maximum.

    Covariances of ranks and of clipped losses as further members made it worse (docs/experiments.md).

    Args:
        prior: the prior tasks.
    """

    def __init__(self, prior: PriorTasks) -> None:
        super().__init__(prior)
        self._experts: tuple[ScoredPolicy, ...] = (SourceCopiesPolicy(prior), EmpiricalCovariancePolicy(prior))
        self._last: tuple[PriorTasks, bytes, list[NDArray[np.float64]]] | None = None

    def score(self, prior: PriorTasks, observed: Observed) -> NDArray[np.float64]:
        """The sum; before any trial the lowest mean loss."""
        if not len(observed.places):
            return np.asarray(-prior.scaled("min_max").mean(axis=0))
        taken = list(observed.taken)
        total = np.zeros(len(prior.pool))
        for found in self._scores(prior, observed):
            score = found.copy()
            score[taken] = 0.0
            total += score / max(float(score.max()), np.finfo(np.float64).tiny)
        return total

    def _scores(self, prior: PriorTasks, observed: Observed) -> list[NDArray[np.float64]]:
        """Of each expert, kept until other trials are asked about: those of a batch are all asked about the same."""
        trials = observed.places.tobytes() + observed.losses.tobytes()
        if self._last is None or self._last[0] is not prior or self._last[1] != trials:
            self._last = (prior, trials, [expert.score(prior, observed) for expert in self._experts])
        return self._last[2]
