"""Several experts' opinions of a pool made one, also after proposals that have no loss yet."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from autometa.policies.acquisition import expected_improvement
from autometa.policies.source_copies import improvement_on_copies

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.policies.candidates import Observed
    from autometa.policies.gaussian import Fit, LossScale
    from autometa.records.prior_tasks import PriorTasks

_LEAST = 1e-9


class Expert(Protocol):
    """Who scores the C configs of a pool."""

    def improvement(self) -> NDArray[np.float64]:
        """Expected improvement of each config, in a unit of the expert's own, shape (C,)."""
        ...

    def believe(self, place: int, loss: float) -> None:
        """Reckon from now on with a loss that is only expected."""
        ...


class Believer:
    """A fit that goes on as if losses were known that are only expected.

    This is the kriging believer of Ginsbourger, Le Riche and Carraro (2010, "Kriging Is Well-Suited to Parallelize
    Optimization"). Each config is one step of exact inference by a row of the posterior's covariance; unlike in a new
    fit, the scale of the losses stays as the trials told it.

    Args:
        fit: to the trials.
    """

    def __init__(self, fit: Fit) -> None:
        posterior = fit.posterior
        self._fit = fit
        self._mean, self._variances, self._best = posterior.mean, posterior.sd**2, posterior.best
        self._steps: list[NDArray[np.float64]] = []

    def improvement(self) -> NDArray[np.float64]:
        """See :class:`Expert`."""
        return expected_improvement(self._mean, np.sqrt(self._variances), self._best)

    def expected(self, place: int) -> float:
        """The raw loss of a config."""
        posterior = self._fit.posterior
        return posterior.shift + posterior.scale * float(self._mean[place])

    def believe(self, place: int, loss: float) -> None:
        """See :class:`Expert`."""
        posterior = self._fit.posterior
        seen = (loss - posterior.shift) / posterior.scale
        row = self._fit.covariance(place)
        if self._steps:
            steps = np.stack(self._steps)
            row -= steps[:, place] @ steps
        size = np.sqrt(max(float(row[place]), _LEAST) + self._fit.belief.noise)
        step = row / size
        self._mean = self._mean + step * ((seen - self._mean[place]) / size)
        self._variances = np.maximum(self._variances - step**2, _LEAST)
        self._best = min(self._best, seen)
        self._steps.append(step)


class Copyist:
    """Expected improvement if the task were one of the prior tasks; see :func:`improvement_on_copies`.

    Args:
        prior: the prior tasks on the pool.
        observed: the trials.
        scale: of the raw losses.
    """

    def __init__(self, prior: PriorTasks, observed: Observed, scale: LossScale) -> None:
        self._prior, self._observed, self._scale = prior, observed, scale

    def improvement(self) -> NDArray[np.float64]:
        """See :class:`Expert`."""
        return improvement_on_copies(self._prior, self._observed, self._scale)

    def believe(self, place: int, loss: float) -> None:
        """See :class:`Expert`."""
        seen = self._observed
        self._observed = replace(seen, places=np.append(seen.places, place), losses=np.append(seen.losses, loss))


@dataclass(frozen=True)
class Mixture:
    """Experts that are listened to by their shares.

    Attributes:
        experts: each with its share.
        expecting: the one of them whose expectation all believe.
    """

    experts: Sequence[tuple[float, Expert]]
    expecting: Believer

    def worth(self, taken: Collection[int]) -> NDArray[np.float64]:
        """Of each config, higher is better, 0 where it is taken, shape (C,)."""
        total: NDArray[np.float64] | float = 0.0
        places = list(taken)
        for share, expert in self.experts:
            free = expert.improvement().copy()
            free[places] = 0.0
            total = total + share * (free / max(float(free.max()), np.finfo(float).tiny))
        return np.asarray(total)

    def propose(self, place: int) -> None:
        """Go on as if a config had the loss that is expected of it."""
        loss = self.expecting.expected(place)
        for _, expert in self.experts:
            expert.believe(place, loss)
