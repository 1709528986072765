"""Candidates for a space that has no pool of its own: a part that stays for a while, and one that is always new."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autometa.policies.candidates import representative
from autometa.pool import Pool
from autometa.space import Key, key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from autometa.space import Config, Space
    from autometa.task import Task, Trial

BEST = 5  # trials that have neighbours
_STEPS = (0.02, 0.1, 0.3)  # standard deviations of a step, in units of a range
_CHANGED = 2.0  # hyperparameters that a neighbour differs in, on average
_JUMPS = 0.2  # how often such a one goes anywhere rather than a step


def draw_base(space: Space, known: Sequence[Config], *, count: int, seed: Sequence[int]) -> Pool:
    """Known configs and configs drawn at random: the part that stays while a history grows.

    Args:
        space: of the configs.
        known: configs of the space that past tasks have evaluated, the most promising first.
        count: of all; a third may be known ones.
        seed: of what is drawn.
    """
    rng = np.random.default_rng(list(seed))
    found: dict[Key, Config] = {key(c): c for c in known[: count // 3]}
    for _ in range(4 * count):  # a small space has no more to draw at some point
        if len(found) >= count:
            break
        config = space.sample(rng)
        found.setdefault(key(config), config)
    return Pool.keyed(space, found)


def draw_pool(task: Task, base: Pool, *, neighbours: int, most: int, seed: int) -> Pool:
    """The base and what is new: trials that are not in it, and neighbours of the best ones.

    Args:
        task: the space and the history.
        base: of the space; see :func:`draw_base`.
        neighbours: configs to draw about the best trials.
        most: trials with an outcome that are to be in the pool. The others are not among its new configs.
        seed: of what is drawn; the length of the history counts as well.
    """
    space, rng = task.space, np.random.default_rng([seed, len(task.history)])
    trials = {t.key: t for t in task.history}
    reckoned = {k: t for k, t in _reckoned(trials, most).items() if base.find(k) is not None or space.has(t.config)}
    new = {k: t.config for k, t in reckoned.items() if base.find(k) is None}
    complete = [t for t in reckoned.values() if t.state == "complete" and np.isfinite(t.loss)]
    best = [space.to_unit(t.config) for t in sorted(complete, key=lambda t: t.loss)[:BEST]]
    for config in _neighbours(space, np.array(best), neighbours, rng) if best and len(space) else ():
        k = key(config)
        if k not in trials and base.find(k) is None:
            new.setdefault(k, config)
    return Pool.joined([base, Pool.keyed(space, new)])


def _reckoned(trials: dict[Key, Trial], most: int) -> dict[Key, Trial]:
    """Those under way, and of the others so many as tell most; by key."""
    done = [(k, t) for k, t in trials.items() if t.state != "running"]
    losses = np.array([t.loss if t.state == "complete" else np.inf for _, t in done])
    kept = {k: t for k, t in trials.items() if t.state == "running"}
    return kept | {done[i][0]: done[i][1] for i in representative(losses, most)}


def _neighbours(space: Space, best: NDArray[np.float64], count: int, rng: np.random.Generator) -> list[Config]:
    """So many configs, each a few steps from one of the best, which are places of shape (b, d)."""
    units = best[np.arange(count) % len(best)]
    active = ~np.isnan(units)
    moved = np.where(active, units, rng.random(units.shape))  # a changed choice may make others active
    changed = active & (rng.random(units.shape) < _CHANGED / active.sum(axis=1, keepdims=True))
    changed[np.arange(count), np.where(active, rng.random(units.shape), -1.0).argmax(axis=1)] = True
    step = rng.choice(_STEPS, (count, 1)) * rng.standard_normal(units.shape)
    jump = rng.random(units.shape) < _JUMPS
    places = np.where(jump, rng.random(units.shape), _mirrored(moved + step))
    return [space.from_unit(row) for row in np.where(changed, places, moved).tolist()]


def _mirrored(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Back into [0, 1] from beyond its ends."""
    return np.asarray(np.abs((places + 1.0) % 2.0 - 1.0))
