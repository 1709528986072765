"""Candidates for a space that has no pool of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autometa.pool import Pool, key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from autometa.space import Config, Space
    from autometa.task import Task

NEIGHBOURS = 0.25  # share of the candidates that lie about the best trials
BEST = 5  # trials that have neighbours
_STEPS = (0.02, 0.1, 0.3)  # standard deviations of a step, in units of a range
_CHANGED = 2.0  # hyperparameters that a neighbour differs in, on average


def draw_pool(task: Task, known: Sequence[Config], *, count: int, seed: int) -> Pool:
    """The task's trials, known configs, neighbours of its best trials, and configs drawn at random.

    Args:
        task: the space and the history.
        known: configs of the space that past tasks have evaluated, the most promising first.
        count: of candidates beside the trials. A quarter may be known ones, a quarter are neighbours.
        seed: of what is drawn; the length of the history counts as well.
    """
    space, rng = task.space, np.random.default_rng([seed, len(task.history)])
    history = [t for t in task.history if space.has(t.config)]
    found: dict[object, Config] = {key(t.config): t.config for t in history}
    tried = len(found)
    for config in known[: count // 4]:
        found.setdefault(key(config), config)
    complete = [t for t in history if t.state == "complete" and np.isfinite(t.loss)]
    best = [space.to_unit(t.config) for t in sorted(complete, key=lambda t: t.loss)[:BEST]]
    for i in range(int(NEIGHBOURS * count) if best and len(space) else 0):
        config = _neighbour(space, best[i % len(best)], rng)
        found.setdefault(key(config), config)
    for _ in range(4 * count):  # a small space has no more to draw at some point
        if len(found) >= tried + count:
            break
        config = space.sample(rng)
        found.setdefault(key(config), config)
    return Pool(space, found.values())


def _neighbour(space: Space, unit: NDArray[np.float64], rng: np.random.Generator) -> Config:
    active = ~np.isnan(unit)
    moved = np.where(active, unit, rng.random(len(unit)))  # a changed choice may make others active
    changed = active & (rng.random(len(unit)) < _CHANGED / max(active.sum(), 1))
    changed[rng.choice(np.flatnonzero(active))] = True
    step = rng.normal(0.0, rng.choice(_STEPS), len(unit))
    jump = rng.random(len(unit)) < 0.2
    places = np.where(jump, rng.random(len(unit)), _mirrored(moved + step))
    return space.from_unit(np.where(changed, places, moved))


def _mirrored(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Back into [0, 1] from beyond its ends."""
    return np.asarray(np.abs((places + 1.0) % 2.0 - 1.0))
