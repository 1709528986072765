"""How good a process is: the regret of searches on tasks that it has not learned from, replayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autometa.errors import InputError
from autometa.policies.alone import learned_alone
from autometa.records.replay import Target, replay, target_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.policies.learned import LearnedPolicy
    from autometa.policies.learned_process import LearnedProcess
    from autometa.records.collection import Collection
    from autometa.records.prior_tasks import PriorTasks

TRIALS = 25
MOST = 48  # tasks that are replayed


@dataclass(frozen=True)
class ReplayedRegret:
    """The mean regret of trials 1 to 25 over some tasks, of the process alone and without any prior task.

    Attributes:
        targets: the tasks.
        trials: of each replay.
    """

    targets: Sequence[Target]
    trials: int = TRIALS

    @classmethod
    def on(cls, targets: Sequence[Target]) -> ReplayedRegret:
        """At most 48 of the targets, evenly taken.

        Raises:
            InputError: there is nothing to find on any of them.
        """
        kept = [t for t in targets if not t.constant]
        if not kept:
            raise InputError(
                f"to validate, some task must have configs that differ in loss; none of the {len(targets)} held out "
                "has: give more --data"
            )
        places = np.unique(np.linspace(0, len(kept) - 1, min(MOST, len(kept))).astype(int))
        return cls([kept[i] for i in places])

    def __call__(self, process: LearnedProcess) -> float:
        """In [0, 1], lower is better."""
        policy = learned_alone(process)
        return float(np.mean([self._area(policy, target) for target in self.targets]))

    def _area(self, policy: LearnedPolicy, target: Target) -> float:
        places = replay(policy, target, trials=self.trials, seed=0).places
        return float(target.best_so_far(places, self.trials).mean())


def recorded_targets(collections: Sequence[Collection], numbers: Sequence[NDArray[np.intp]]) -> list[Target]:
    """Some tasks of each collection, those without any full evaluation left out."""
    return [
        target_of(collection, int(number))
        for collection, chosen in zip(collections, numbers, strict=True)
        for number in chosen
        if collection.evaluated[number].any()
    ]


def synthetic_targets(families: Sequence[PriorTasks]) -> list[Target]:
    """The tasks of synthetic families."""
    return [
        Target(name, family.pool, np.where(np.isfinite(row), row, np.nan), nothing, nothing, {})
        for family in families
        for nothing in [np.full(len(family.pool), np.nan)]
        for name, row in zip(family.names, family.losses, strict=True)
    ]
