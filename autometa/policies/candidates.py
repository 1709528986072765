"""A task's history as places in a pool of candidates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autometa.policies.prospects import Prospects

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.pool import Pool
    from autometa.task import Task

LARGEST = 1e60  # loss of which even products of squares are numbers


@dataclass(frozen=True)
class Observed:
    """What a task's history says of a pool.

    Attributes:
        places: of the n configs with a loss at the full budget, or the prospect of one, in the order of the trials,
            shape (n,).
        losses: theirs, shape (n,), none beyond LARGEST. A trial that was stopped has the loss that it would have come
            to, a failed one the worst loss of the others; without others it says nothing.
        taken: places that are not to be proposed again, pending ones included.
    """

    places: NDArray[np.intp]
    losses: NDArray[np.float64]
    taken: frozenset[int]

    @classmethod
    def of(cls, task: Task, pool: Pool) -> Observed:
        """Read a history."""
        taken: set[int] = set()
        known: dict[int, float] = {}
        prospects = Prospects(task.history)
        for trial in task.history:
            place = pool.find(trial.key)
            if place is None:
                continue
            taken.add(place)
            if trial.state == "complete" and trial.budget < 1.0:
                continue
            match trial.state:
                case "complete":
                    known[place] = trial.loss
                case "pruned":
                    known[place] = prospects.loss(trial)
                case "failed":
                    known[place] = math.nan
        losses = np.array(list(known.values()))
        finite = np.isfinite(losses)
        if not finite.any():
            return cls(np.zeros(0, np.intp), np.zeros(0), frozenset(taken))
        losses = np.clip(np.where(finite, losses, losses[finite].max()), -LARGEST, LARGEST)
        return cls(np.array(list(known), np.intp), losses, frozenset(taken))

    def left(self, pool: Pool) -> list[int]:
        """Places that may be proposed, in their order."""
        return [i for i in range(len(pool)) if i not in self.taken]


def representative(losses: NDArray[np.float64], most: int) -> list[int]:
    """Which of n trials to reckon with where they are many, in their order: the best, the newest, and others evenly.

    Args:
        losses: in the order of the trials, shape (n,).
        most: how many; a third are the best ones, a third the newest.
    """
    n, third = len(losses), most // 3
    if n <= most:
        return list(range(n))
    kept = set(np.argsort(losses, kind="stable")[:third].tolist()) | set(range(n - third, n))
    others = [i for i in range(n) if i not in kept]
    kept |= {others[i] for i in np.linspace(0, len(others) - 1, most - len(kept)).astype(int)}
    return sorted(kept)
