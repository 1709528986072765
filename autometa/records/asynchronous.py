"""A search on a simulated cluster: workers are done after the recorded seconds, on a clock that nobody waits for."""

from __future__ import annotations

import heapq
import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from autometa.pool import GRAIN
from autometa.space import Key, key
from autometa.task import State, Task, Trial

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.records.replay import Target
    from autometa.space import Config, Space
    from autometa.task import Policy


@dataclass(frozen=True, eq=False)
class Simulated:
    """One search on a simulated cluster: k trials in the order in which they were started.

    Attributes:
        places: in the pool, of the recorded configs that answered, shape (k,).
        started, ended: on the clock of the simulation, in recorded seconds, shape (k,).
        again: whether a config was proposed before, be it done or under way, shape (k,).
        real: seconds that all proposals took in truth.
    """

    places: NDArray[np.intp]
    started: NDArray[np.float64]
    ended: NDArray[np.float64]
    again: NDArray[np.bool_]
    real: float

    def best(self, losses: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """When each trial ended, in that order, and the lowest of some losses of the pool until then, both (k,)."""
        order = np.argsort(self.ended, kind="stable")
        found = losses[self.places[order]]
        return self.ended[order], np.minimum.accumulate(np.where(np.isfinite(found), found, np.inf))


def simulate(policy: Policy, target: Target, *, workers: int, trials: int, ahead: int = 1, seed: int) -> Simulated:
    """Let a policy search the space of a recorded task with many workers, none of which waits for another.

    The policy proposes what it likes; the nearest recorded config of the same branch gives the loss and the seconds.

    Args:
        policy: who proposes.
        target: the recorded task, with seconds.
        workers: trials at the same time.
        trials: that are started.
        ahead: proposals that are asked for at once, whenever a worker is free and none is left.
        seed: of the policy.
    """
    task = Task(target.name, target.pool.space, features=target.features)
    every = np.arange(len(target.pool))
    running: list[tuple[float, int]] = []  # when it ends, number
    places: list[int] = []
    started: list[float] = []
    ended: list[float] = []
    again: list[bool] = []
    waiting: list[Config] = []
    known: set[Key] = set()
    clock = real = 0.0
    while len(places) < trials:
        if len(running) == workers:
            clock, number = heapq.heappop(running)
            task = _done(task, number, float(target.losses[places[number]]), ended[number] - started[number])
            continue
        if not waiting:
            begun = time.perf_counter()
            waiting = policy.propose(task, n=min(ahead, trials - len(places)), seed=seed)
            real += time.perf_counter() - begun
        config = waiting.pop(0)
        places.append(target.pool.nearest(config, every, seed=[seed, len(places)]))
        started.append(clock)
        ended.append(clock + float(target.seconds[places[-1]]))
        coarse = rounded(target.pool.space, config)
        again.append(coarse in known)
        known.add(coarse)
        heapq.heappush(running, (ended[-1], len(places) - 1))
        task = task.observe(Trial(config))
    return Simulated(np.array(places, np.intp), np.array(started), np.array(ended), np.array(again), real)


def rounded(space: Space, config: Config) -> Key:
    """Equal for configs of the same choices whose numbers are in the same thousandth of their ranges."""
    units = space.to_unit(config)
    return key({p.name: round(GRAIN * units[i]) for i, p in enumerate(space) if p.name in config})


def _done(task: Task, number: int, loss: float, seconds: float) -> Task:
    history = list(task.history)
    state: State = "failed" if math.isnan(loss) else "complete"
    history[number] = replace(history[number], state=state, loss=loss, seconds=seconds)
    return replace(task, history=tuple(history))
