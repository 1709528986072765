"""An ensemble of Gaussian processes, one per prior task and one for the new task, weighted by how well each ranks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autometa.policies.acquisition import expected_improvement
from autometa.policies.kernel import Matern, most_likely_length
from autometa.policies.scored import ScoredPolicy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.policies.candidates import Observed
    from autometa.records.prior_tasks import PriorTasks

NOISE = 0.05  # variance relative to the signal's
SAMPLES = 64  # bootstraps of the trials that weights are counted over
MOST = 1_000  # configs that a prior task's process is fitted to, evenly taken
FEWEST = 3  # trials before the ranking says anything


@dataclass(frozen=True)
class _Surrogates:
    """Means of the S prior tasks' processes, standardised, shape (S, C), and the kernel over the pool."""

    means: NDArray[np.float64]
    kernel: Matern


class RGPEPolicy(ScoredPolicy):
    """Ranking-weighted Gaussian process ensemble (Feurer, Letham, Hutter and Bakshy 2018).

    The weight of a process is how often it misranks the fewest pairs of trials, over bootstraps of the trials where the
    paper draws from the posterior; a process whose median of misranked pairs is above the 95th percentile of the new
    task's own is left out. The new task's own process is judged by predictions that leave each trial out.

    Args:
        prior: the prior tasks.
    """

    def score(self, prior: PriorTasks, observed: Observed) -> NDArray[np.float64]:
        """Expected improvement; before any trial the lowest mean of all processes."""
        known = self.memo(prior, _surrogates)
        n = len(observed.places)
        if not n:
            return np.asarray(-known.means.mean(axis=0))
        losses = _standard(observed.losses)
        cross = known.kernel.rows(observed.places)
        inverse = np.linalg.inv(cross[:, observed.places] + NOISE * np.eye(n))
        own = losses @ inverse @ cross
        sd = np.sqrt(np.maximum(1.0 - np.einsum("nc,nm,mc->c", cross, inverse, cross), 1e-9))
        left_out = losses - (inverse @ losses) / np.diag(inverse)
        weights = _weights(np.vstack([known.means[:, observed.places], left_out]), losses)
        mean = weights[:-1] @ known.means + weights[-1] * own
        # As in the paper, the doubt of the prior tasks' processes is left out where it is far from their trials; here
        # they have evaluated the whole pool, so that the doubt is that of the new task's process.
        return expected_improvement(mean, sd, float(mean[observed.places].min()))


def _surrogates(prior: PriorTasks) -> _Surrogates:
    standard = np.array([_standard(row) for row in prior.scaled("ranks")])
    kernel = Matern(prior.pool.inputs, most_likely_length(prior.pool.inputs, standard, NOISE))
    some = np.unique(np.linspace(0, len(prior.pool) - 1, min(MOST, len(prior.pool))).astype(int))
    rows = kernel.rows(some)
    smoother = np.linalg.solve(rows[:, some] + NOISE * np.eye(len(some)), rows)
    return _Surrogates(standard[:, some] @ smoother, kernel)


def _standard(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    sd = float(losses.std())
    return np.asarray((losses - losses.mean()) / (sd if sd > 0 else 1.0))


def _weights(predicted: NDArray[np.float64], losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each process, the new task's own last, from what they predict for the trials, shape (S + 1, n)."""
    n = len(losses)
    weights = np.zeros(len(predicted))
    if n < FEWEST:
        weights[:-1] = 1.0 / max(len(predicted) - 1, 1)
        return weights
    wrong = (predicted[:, :, None] < predicted[:, None, :]) ^ (losses[:, None] < losses[None, :])
    counts = np.random.default_rng(n).multinomial(n, np.full(n, 1.0 / n), size=SAMPLES)  # (SAMPLES, n)
    misranked = np.einsum("bi,sij,bj->sb", counts, wrong.astype(np.float64), counts, optimize=True)
    usable = np.median(misranked, axis=1) <= np.quantile(misranked[-1], 0.95)
    usable[-1] = True
    misranked[~usable] = np.inf
    fewest = misranked == misranked.min(axis=0)
    return np.asarray((fewest / fewest.sum(axis=0)).mean(axis=1))
