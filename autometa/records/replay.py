"""Replay: a policy proposes, the recording answers. What a search would have found, without training anything."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autometa.task import Task, Trial

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from autometa.pool import Pool
    from autometa.records.collection import Collection
    from autometa.task import Policy


@dataclass(frozen=True, eq=False)
class Target:
    """A recorded task that policies are replayed on.

    Attributes:
        name: of the task.
        pool: configs that it and some other task have; all of its own where its collection shares none.
        losses: at the full budget, shape (C,); NaN where the evaluation failed.
        test_losses: shape (C,); NaN where not recorded.
        seconds: of each evaluation, shape (C,); NaN where not recorded.
        features: what is known of its dataset.
    """

    name: str
    pool: Pool
    losses: NDArray[np.float64]
    test_losses: NDArray[np.float64]
    seconds: NDArray[np.float64]
    features: Mapping[str, float | str]

    @property
    def constant(self) -> bool:
        """Whether there is nothing to find."""
        finite = self.losses[np.isfinite(self.losses)]
        return not len(finite) or float(finite.max()) <= float(finite.min())

    @property
    def regrets(self) -> NDArray[np.float64]:
        """Of each config: 0 for the best, 1 for the worst and for failed ones, shape (C,)."""
        return _regrets(self.losses)

    def best_so_far(self, places: NDArray[np.intp], trials: int) -> NDArray[np.float64]:
        """The least regret after each trial, shape (trials,); where a pool was used up before, it stays.

        Args:
            places: of the configs that were tried, one at least.
            trials: how many are looked at.
        """
        best = np.minimum.accumulate(self.regrets[places])
        return np.asarray(best[np.minimum(np.arange(trials), len(best) - 1)])

    @property
    def test_regrets(self) -> NDArray[np.float64]:
        """The same of the test losses; NaN where none are recorded."""
        return _regrets(self.test_losses) if np.isfinite(self.test_losses).any() else self.test_losses

    @property
    def units(self) -> NDArray[np.float64]:
        """Seconds of each config as a share of the pool's mean, shape (C,); 1 where not recorded."""
        mean = float(np.nanmean(self.seconds)) if np.isfinite(self.seconds).any() else 1.0
        return np.asarray(np.nan_to_num(self.seconds / max(mean, 1e-12), nan=1.0))

    @property
    def ranks(self) -> NDArray[np.float64]:
        """Share of the pool that is better than each config, shape (C,)."""
        losses = np.where(np.isfinite(self.losses), self.losses, np.inf)
        return np.asarray(np.searchsorted(np.sort(losses), losses) / max(len(losses) - 1, 1))


def _regrets(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    finite = np.isfinite(losses)
    low, high = losses[finite].min(), losses[finite].max()
    return np.where(finite, (losses - low) / max(high - low, np.finfo(np.float64).tiny), 1.0)


def target_of(collection: Collection, number: int) -> Target:
    """One task of a collection, to be replayed on."""
    has = collection.evaluated[number]
    places = np.flatnonzero(has & collection.shared) if collection.shared.any() else np.flatnonzero(has)
    dataset = collection.card.datasets[number]
    return Target(
        dataset.name,
        collection.pool(places),
        collection.full[number, places],
        collection.test[number, places],
        collection.seconds[number, places],
        collection.features(number),
    )


def replayable(collection: Collection, numbers: Iterable[int]) -> dict[int, Target]:
    """The tasks of a collection, by number, on which configs differ."""
    evaluated = (n for n in numbers if collection.evaluated[n].any())
    targets = {n: target_of(collection, n) for n in evaluated}
    return {n: t for n, t in targets.items() if not t.constant}


def evenly_taken(targets: Mapping[int, Target], most: int) -> list[int]:
    """Numbers of so many tasks at most, evenly taken by difficulty, in rising order."""
    difficulty = {n: float(np.median(t.regrets)) for n, t in targets.items()}
    ordered = sorted(difficulty, key=lambda n: (difficulty[n], n))
    places = np.unique(np.linspace(0, len(ordered) - 1, min(most, len(ordered))).astype(int))
    return sorted(ordered[i] for i in places)


@dataclass(frozen=True)
class Replayed:
    """One policy on one task with one seed.

    Attributes:
        places: of the configs it tried, in order, shape (k,).
        milliseconds: that each proposal took, shape (k,).
    """

    places: NDArray[np.intp]
    milliseconds: NDArray[np.float64]


def replay(policy: Policy, target: Target, *, trials: int, seed: int, by_seconds: bool = False) -> Replayed:
    """Let a policy search a recorded task.

    Args:
        policy: who proposes.
        target: the recorded task.
        trials: how many; fewer if the pool is used up.
        seed: of the policy.
        by_seconds: whether it ends after so many mean evaluations' seconds, however many trials that takes.
    """
    task = Task(target.name, target.pool.space, features=target.features)
    places: list[int] = []
    spent: list[float] = []
    left, units = float(trials), target.units if by_seconds else np.ones(len(target.pool))
    while left > 0 and len(places) < len(target.pool):
        begun = time.perf_counter()
        (config,) = policy.propose(task, n=1, seed=seed, candidates=target.pool)
        spent.append(1e3 * (time.perf_counter() - begun))
        place = target.pool.place(config)
        assert place is not None
        places.append(place)
        left -= float(units[place])
        loss = float(target.losses[place])
        seconds = float(target.seconds[place])
        task = task.observe(Trial(config, "failed" if math.isnan(loss) else "complete", loss, seconds=seconds))
    return Replayed(np.array(places, np.intp), np.array(spent))
