"""Experts, each with its share, and what they propose: one config, or a batch that reckons with itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autometa.policies.acquisition import expected_improvement
from autometa.policies.growing import GrowingFit
from autometa.policies.source_copies import GrowingCopies, improvement_on_copies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from autometa.policies.candidates import Observed
    from autometa.policies.gaussian import Fit, LossScale, Posterior
    from autometa.records.prior_tasks import PriorTasks


@dataclass(frozen=True)
class Mixture:
    """What a batch is chosen by: the sum of the experts' expected improvements, each over its largest.

    Attributes:
        observed: the trials, those under way with the losses that are expected of them.
        expected: raw loss that is expected of each config of the pool, shape (C,).
        told: what the past says of the trials, in each form that it has.
        copies: the prior tasks themselves, with the scale of their losses; None to leave them out.
        cold: what the trials say by themselves; None where they are too few.
        share: of the cold expert; the others share the rest evenly.
    """

    observed: Observed
    expected: NDArray[np.float64]
    told: Sequence[Fit]
    copies: tuple[PriorTasks, LossScale] | None
    cold: Fit | None
    share: float

    def score(self) -> NDArray[np.float64]:
        """The worth of each config of the pool, higher is better, shape (C,)."""
        scores = [_improvement(fit.posterior) for fit in self.told]
        if self.copies is not None:
            prior, scale = self.copies
            scores.append(improvement_on_copies(prior, self.observed, scale))
        last = None if self.cold is None else _improvement(self.cold.posterior)
        return mixed(scores, last, self.share, list(self.observed.taken))

    def growing(self, kept: NDArray[np.intp], more: int) -> GrowingMixture:
        """The same on K configs, for a batch of so many.

        Args:
            kept: their places, shape (K,).
            more: trials that will be added.
        """
        return GrowingMixture(self, kept, more)


class GrowingMixture:
    """A mixture that takes in each proposal of a batch, on K configs of the pool; see :meth:`Mixture.growing`."""

    def __init__(self, mixture: Mixture, kept: NDArray[np.intp], more: int) -> None:
        self._share, self._expected = mixture.share, mixture.expected[kept]
        self._taken = np.flatnonzero(np.isin(kept, list(mixture.observed.taken))).tolist()
        self._told = [GrowingFit(fit, kept, more) for fit in mixture.told]
        self._cold = None if mixture.cold is None else GrowingFit(mixture.cold, kept, more)
        self._worst = np.inf if mixture.cold is None else float(mixture.cold.losses.max())  # they are tamed
        self._copies = None
        if mixture.copies is not None:
            prior, scale = mixture.copies
            self._copies = GrowingCopies(prior, mixture.observed, scale, kept)

    def take(self, place: int) -> None:
        """Reckon with a trial of one of the K configs, as if it showed what is expected of it."""
        loss = float(self._expected[place])
        for fit in self._told:
            fit.add(place, loss)
        if self._copies is not None:
            self._copies.add(place, loss)
        if self._cold is not None:
            self._cold.add(place, min(loss, self._worst))
        self._taken.append(place)

    def score(self) -> NDArray[np.float64]:
        """The worth of each of the K configs, those taken not to be looked at, shape (K,)."""
        scores = [_improvement(fit.posterior) for fit in self._told]
        if self._copies is not None:
            scores.append(self._copies.improvement)
        last = None if self._cold is None else _improvement(self._cold.posterior)
        return mixed(scores, last, self._share, self._taken)


def mixed(
    scores: Sequence[NDArray[np.float64]], cold: NDArray[np.float64] | None, share: float, taken: list[int]
) -> NDArray[np.float64]:
    """The sum of scores over their largest, the cold expert's by its share and the others' by what it leaves."""
    total = np.zeros(len(scores[0]))
    for score in scores:
        total += (1.0 - share) / len(scores) * _relative(score, taken)
    if cold is not None:
        total += share * _relative(cold, taken)
    return total


def _improvement(posterior: Posterior) -> NDArray[np.float64]:
    return expected_improvement(posterior.mean, posterior.sd, posterior.best)


def _relative(score: NDArray[np.float64], taken: list[int]) -> NDArray[np.float64]:
    """Scores over the largest of those that can be proposed."""
    free = score.copy()
    free[taken] = 0.0
    return np.asarray(free / max(float(free.max()), np.finfo(float).tiny))
