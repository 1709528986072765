"""The common part of policies that score a pool: propose the untried config of the highest score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from autometa.policies.candidates import Observed
from autometa.policies.random import RandomPolicy
from autometa.pool import Pool
from autometa.task import Task, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from autometa.records.prior_tasks import PriorTasks
    from autometa.space import Config, Space


T = TypeVar("T")


class ScoredPolicy(ABC):
    """Proposes what the prior tasks make it score highest.

    Without candidates the pool is that of the prior tasks, as far as the task's space has its configs; when all of it
    is tried, or when there is no prior task, proposals are random.

    Args:
        prior: the prior tasks.
    """

    def __init__(self, prior: PriorTasks) -> None:
        self.prior = prior
        self._fitting: dict[Space, Pool] = {}
        self._known: tuple[PriorTasks, Any] | None = None

    @abstractmethod
    def score(self, prior: PriorTasks, observed: Observed) -> NDArray[np.float64]:
        """The worth of each config of ``prior.pool``, higher is better, shape (C,)."""

    def memo(self, prior: PriorTasks, learn: Callable[[PriorTasks], T]) -> T:
        """What is learned of prior tasks, kept until others are asked about; a policy learns one thing."""
        if self._known is None or self._known[0] is not prior:
            self._known = (prior, learn(prior))
        found: T = self._known[1]
        return found

    def propose(self, task: Task, *, n: int, seed: int, candidates: Sequence[Config] | None = None) -> list[Config]:
        """The next n configs; see :class:`autometa.task.Policy`."""
        pool = self._fits(task.space) if candidates is None else Pool.of(task.space, candidates)
        prior = self.prior.on(pool)
        proposals: list[Config] = []
        while len(proposals) < n and len(prior):
            observed = Observed.of(task, pool)
            if len(observed.taken) == len(pool):
                break
            score = self.score(prior, observed).copy()
            score[list(observed.taken)] = -np.inf
            proposals.append(pool[int(np.argmax(score))])
            task = task.observe(Trial(proposals[-1]))
        if len(proposals) < n:
            proposals += RandomPolicy().propose(task, n=n - len(proposals), seed=seed, candidates=candidates)
        return proposals

    def _fits(self, space: Space) -> Pool:
        """The configs of the prior tasks that a space has."""
        if space is self.prior.pool.space:
            return self.prior.pool
        if space not in self._fitting:
            kept = [c for c in self.prior.pool if space.has(c)]
            self._fitting[space] = Pool(space, kept)
        return self._fitting[space]
