"""The policy that knows nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autometa.policies.candidates import untried

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
        left = untried(task, candidates)
        order = rng.permutation(len(left))[:n]
        return [left[i] for i in order]
