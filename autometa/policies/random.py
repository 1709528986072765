"""The policy that knows nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autometa.policies.candidates import Observed
from autometa.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autometa.space import Config
    from autometa.task import Task


class RandomPolicy:
    """Configs drawn uniformly from the unit cube of the space, or from the candidates left."""

    def propose(self, task: Task, *, n: int, seed: int, candidates: Sequence[Config] | None = None) -> list[Config]:
        """The next n configs; see :class:`autometa.task.Policy`."""
        rng = np.random.default_rng([seed, len(task.history)])
        if candidates is None:
            return [task.space.sample(rng) for _ in range(n)]
        pool = Pool.of(task.space, candidates)
        left = Observed.of(task, pool).left(pool)
        return [pool[left[i]] for i in rng.permutation(len(left))[:n]]
