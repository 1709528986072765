"""Portfolios: configs that complete each other on the prior tasks, in a fixed order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autometa.policies.scored import ScoredPolicy
from autometa.pool import Pool
from autometa.task import Trial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from autometa.policies.candidates import Observed
    from autometa.records.prior_tasks import PriorTasks
    from autometa.space import Config
    from autometa.task import Policy, Task


LONGEST = 100  # configs that are chosen greedily


def greedy_order(scaled: NDArray[np.float64], k: int) -> list[int]:
    """Columns in the order in which each lowers the mean best loss most (Feurer et al. 2022, Auto-sklearn 2.0).

    Args:
        scaled: losses of S tasks on C configs, without gaps, shape (S, C).
        k: how many.
    """
    best = np.ones(len(scaled))
    order: list[int] = []
    for _ in range(min(k, scaled.shape[1])):
        # Configs that change nothing any more are ordered by their own mean.
        gain = np.minimum(best[:, None], scaled).mean(axis=0) + 1e-6 * scaled.mean(axis=0)
        gain[order] = np.inf
        order.append(int(np.argmin(gain)))
        best = np.minimum(best, scaled[:, order[-1]])
    return order


class GreedyPortfolioPolicy(ScoredPolicy):
    """The greedy portfolio of the prior tasks; it does not look at the losses that come in.

    Args:
        prior: the prior tasks.
    """

    def score(self, prior: PriorTasks, observed: Observed) -> NDArray[np.float64]:
        """The later in the order, the lower."""
        del observed
        return self.memo(prior, _places_in_order)


def _places_in_order(prior: PriorTasks) -> NDArray[np.float64]:
    """Minus the place of each config; beyond LONGEST, configs follow by their mean."""
    scaled = prior.scaled("min_max")
    order = greedy_order(scaled, LONGEST)
    score = -len(order) - scaled.mean(axis=0)
    score[order] = -np.arange(len(order), dtype=np.float64)
    return np.asarray(score)


class ThenPolicy:
    """Some configs of one policy, then another one, which has all trials to learn from.

    Args:
        first: the policy that begins.
        then: the one that goes on.
        k: how many trials are the first one's own.
    """

    def __init__(self, first: Policy, then: Policy, *, k: int) -> None:
        self._first, self._then, self._k = first, then, k

    def propose(self, task: Task, *, n: int, seed: int, candidates: Sequence[Config] | None = None) -> list[Config]:
        """The next n configs; see :class:`autometa.task.Policy`."""
        first = max(min(n, self._k - len(task.history)), 0)
        proposals = self._first.propose(task, n=first, seed=seed, candidates=candidates) if first else []
        task = task.observe(*(Trial(config) for config in proposals))
        if len(proposals) < n:
            proposals += self._then.propose(task, n=n - len(proposals), seed=seed, candidates=candidates)
        return proposals


class DefaultPolicy:
    """The defaults of the space, whichever branch is its default; what TPE is usually given to start from."""

    def propose(self, task: Task, *, n: int, seed: int, candidates: Sequence[Config] | None = None) -> list[Config]:
        """The default, once; see :class:`autometa.task.Policy`."""
        config: Config = task.space.complete({})
        if candidates is not None:
            pool = Pool.of(task.space, candidates)
            config = pool[pool.nearest(config, range(len(pool)), seed=[seed])]
        return [config][:n]
