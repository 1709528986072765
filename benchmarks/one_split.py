"""One split of a collection by dataset, for studies in which a process is meta-trained for each change.

60 % of the datasets are to learn from, 15 % for settings, 25 % are replayed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autometa.records.collection import Collection
from autometa.records.prior_tasks import PriorTasks
from autometa.records.replay import Target, evenly_taken, replayable
from autometa.records.sources import Folds

PARTS, LEARN, SETTINGS = 20, 12, 3  # twentieths: to learn from, for settings; the rest is replayed
TASKS = 60  # that are replayed, at most


@dataclass(frozen=True, eq=False)
class OneSplit:
    """Sources of a replay: the same tasks to learn from for all.

    Attributes:
        collection: what is split.
        group: of each task; tasks on the same dataset share one.
        targets: the tasks that are replayed, evenly taken by difficulty.
        known: what may be known on any of them.
    """

    collection: Collection
    group: NDArray[np.intp]
    targets: dict[int, Target]
    known: PriorTasks

    @classmethod
    def of(cls, collection: Collection) -> "OneSplit":
        """Deal the datasets of a collection."""
        dealt = Folds.deal(collection, PARTS)
        known = PriorTasks.of(collection, np.flatnonzero(dealt.fold < LEARN).tolist())
        targets = replayable(collection, np.flatnonzero(dealt.fold >= LEARN + SETTINGS).tolist())
        return cls(collection, dealt.group, {n: targets[n] for n in evenly_taken(targets, TASKS)}, known)

    def part(self, number: int) -> int:
        """All tasks may know the same."""
        del number
        return 0

    def prior(self, number: int) -> PriorTasks:
        """What may be known on a task."""
        del number
        return self.known
