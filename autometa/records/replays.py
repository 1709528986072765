"""Many replays: policies by tasks by seeds, in parallel, and what they add up to."""

from __future__ import annotations

import multiprocessing
import zlib
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from collections.abc import Collection as AnyOf
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from autometa.errors import InputError
from autometa.records.prior_tasks import PriorTasks
from autometa.records.regret import Curves
from autometa.records.replay import Replayed, Target, evenly_taken, replay, replayable
from autometa.records.stress import STRESSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.records.collection import Collection
    from autometa.task import Policy

Factory = Callable[[PriorTasks], "Policy"]


class Sources(Protocol):
    """Where the prior tasks of a replayed task come from; see :mod:`autometa.records.sources`."""

    @property
    def collection(self) -> Collection:
        """The tasks that policies are tried on."""
        ...

    @property
    def group(self) -> NDArray[np.intp]:
        """Of each task, shape (T,)."""
        ...

    def part(self, number: int) -> Hashable:
        """Equal for tasks on which the same may be known."""
        ...

    def prior(self, number: int) -> PriorTasks:
        """What may be known on a task."""
        ...


@dataclass(frozen=True)
class Settings:
    """How policies are replayed.

    Attributes:
        trials: of each replay.
        seeds: replays of each policy on each task; policies that use no seed are replayed once.
        x: what regret is shown against. Seconds are those of the recording, in units of the mean evaluation of the
            task's pool, so that tasks can be put together.
        stress: what is done to the prior tasks, one of STRESSES; "" for nothing.
        sample: tasks that slow policies are replayed on, with one seed; the same ones for all of them.
        workers: processes.
    """

    trials: int = 50
    seeds: int = 3
    x: Literal["trials", "seconds"] = "trials"
    stress: str = ""
    sample: int = 60
    workers: int = 1

    def __post_init__(self) -> None:
        if min(self.trials, self.seeds, self.sample, self.workers) < 1:
            raise InputError(
                "trials, seeds, sample and workers must be positive; "
                f"got {self.trials}, {self.seeds}, {self.sample} and {self.workers}"
            )
        if self.stress and self.stress not in STRESSES:
            raise InputError(f"the stress is one of {', '.join(STRESSES)}; got {self.stress!r}")


Key = tuple[str, int, int]  # policy, task, seed


@dataclass
class Replays:
    """Replays of policies on the tasks of a collection.

    Args:
        sources: the collection, and what may be known on each of its tasks.
        factories: policies by name.
        settings: how.
        seedless: names of policies that use no seed.
        slow: names of policies that are replayed on a sample of the tasks.
    """

    sources: Sources
    factories: Mapping[str, Factory]
    settings: Settings
    seedless: AnyOf[str] = ()
    slow: AnyOf[str] = ()
    found: dict[Key, Replayed] = field(default_factory=dict)

    def __post_init__(self) -> None:
        collection = self.sources.collection
        self.targets = replayable(collection, range(len(collection.names)))
        if not self.targets:
            raise InputError(f"there is nothing to replay in {collection.card.name}: every task is empty or constant")
        if self.settings.x == "seconds" and not all(np.isfinite(t.seconds).any() for t in self.targets.values()):
            raise InputError(f"{collection.card.name} recorded no seconds; replay it with --x trials")

    @property
    def sampled(self) -> list[int]:
        """Numbers of the tasks that slow policies are replayed on: evenly taken by difficulty."""
        return evenly_taken(self.targets, self.settings.sample)

    def run(self, say: Callable[[str], None]) -> None:
        """Do all replays."""
        jobs = list(self._jobs())
        global _RUNNING  # noqa: PLW0603 (forked workers find it there; nothing has to be sent to them)
        _RUNNING = self
        if self.settings.workers == 1:
            for i, job in enumerate(jobs):
                self._take(job, _work(job), say, i + 1, len(jobs))
            return
        with ProcessPoolExecutor(self.settings.workers, multiprocessing.get_context("fork")) as pool:
            running = {pool.submit(_work, job): job for job in jobs}
            for i, done in enumerate(as_completed(running)):
                self._take(running[done], done.result(), say, i + 1, len(jobs))

    def _jobs(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """A policy and some tasks whose prior tasks are the same, so that it learns once for all of them."""
        sampled = set(self.sampled)
        by_prior: dict[Hashable, list[int]] = {}
        for number in self.targets:
            by_prior.setdefault(self.sources.part(number), []).append(number)
        for name in self.factories:
            for numbers in by_prior.values():
                chosen = [n for n in numbers if name not in self.slow or n in sampled]
                if chosen:
                    yield name, tuple(chosen)

    def seeds_of(self, name: str) -> int:
        """How often a policy is replayed on a task."""
        return 1 if name in self.seedless or name in self.slow else self.settings.seeds

    def work(self, name: str, numbers: Sequence[int]) -> dict[Key, Replayed]:
        """The replays of a policy on some tasks that the same is known on."""
        found = {}
        prior = self.sources.prior(numbers[0])
        policy = self.factories[name](prior)
        for number in numbers:
            target = self.targets[number]
            if self.settings.stress:
                policy = self.factories[name](self._stressed(prior, target, number))
            for seed in range(self.seeds_of(name)):
                # A seed of its own on each task: else all tasks would be tried in the same random order.
                own = int(np.random.SeedSequence([seed, zlib.crc32(target.name.encode())]).generate_state(1)[0])
                found[name, number, seed] = replay(
                    policy, target, trials=self.settings.trials, seed=own, by_seconds=self.settings.x == "seconds"
                )
        return found

    def _stressed(self, prior: PriorTasks, target: Target, number: int) -> PriorTasks:
        aligned = prior.on(target.pool)
        rng = np.random.default_rng([number, zlib.crc32(self.settings.stress.encode())])
        return STRESSES[self.settings.stress](aligned, target.losses, rng) if len(aligned) else aligned

    def _take(
        self, job: tuple[str, tuple[int, ...]], found: dict[Key, Replayed], say: Callable[[str], None], i: int, n: int
    ) -> None:
        self.found |= found
        say(f"{i}/{n} {job[0]}: {len(job[1])} tasks")

    def curves(self, names: Sequence[str], numbers: Sequence[int] | None = None) -> Curves:
        """What some policies come to on some tasks, seeds averaged.

        Args:
            names: of the policies.
            numbers: of the tasks; None for all.
        """
        chosen = list(self.targets) if numbers is None else list(numbers)
        regret, test, rank, spent = {}, {}, {}, {}
        for name in names:
            runs = [[self._curve(n, self.found[name, n, s]) for s in range(self.seeds_of(name))] for n in chosen]
            table = np.array(runs).mean(axis=1)  # (T, 3, k)
            regret[name], test[name], rank[name] = table[:, 0], table[:, 1], table[:, 2]
            spent[name] = np.concatenate(
                [self.found[name, n, s].milliseconds for n in chosen for s in range(self.seeds_of(name))]
            )
        return Curves(
            tuple(names),
            tuple(self.targets[n].name for n in chosen),
            self.sources.group[chosen],
            np.arange(1.0, self.settings.trials + 1),
            regret,
            test,
            rank,
            spent,
        )

    def _curve(self, number: int, replayed: Replayed) -> NDArray[np.float64]:
        """Regret, test regret and rank of the best config so far at each x, shape (3, k)."""
        target, places = self.targets[number], replayed.places
        regrets = target.regrets[places]
        best = places[_first_least(regrets)]
        curve = np.stack([target.regrets[best], target.test_regrets[best], target.ranks[best]])
        at = np.minimum(np.arange(self.settings.trials), len(places) - 1)
        if self.settings.x == "trials":
            return np.asarray(curve[:, at])
        ended = (
            np.searchsorted(np.cumsum(target.units[places]), np.arange(1.0, self.settings.trials + 1), side="right") - 1
        )
        return np.asarray(np.where(ended >= 0, curve[:, np.maximum(ended, 0)], 1.0))


_RUNNING: Replays | None = None


def _work(job: tuple[str, tuple[int, ...]]) -> dict[Key, Replayed]:
    from threadpoolctl import threadpool_limits

    assert _RUNNING is not None
    with threadpool_limits(1):  # small matrices: more threads only wait for one another
        return _RUNNING.work(*job)


def _first_least(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Where the least value so far stands first, shape (k,)."""
    least = np.minimum.accumulate(values)
    new = np.concatenate([[True], values[1:] < least[:-1]])
    return np.asarray(np.maximum.accumulate(np.where(new, np.arange(len(values)), 0)))
