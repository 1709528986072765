"""Which configs are recorded: shared ones, the same for every table, and a few of each table's own."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import qmc

from autometa.parameters import Categorical, Value
from autometa.space import Config, Space

Origin = Literal["default", "sobol", "random", "move"]

# How the shared configs are divided among the algorithms: by what tuning pays there (TabArena) and by dimension.
SHARES = {
    "lightgbm": 30, "catboost": 22, "xgboost": 18, "network": 25, "tabm": 10, "extra_trees": 7, "random_forest": 7,
    "linear": 8, "nearest_neighbours": 8,
}  # fmt: skip
PREPROCESSING = (
    "imputation", "missing_indicators", "scaling", "booster_categories", "category_encoding", "rare_categories",
    "class_weights",
)  # fmt: skip
BEST = 5  # configs of a table that its moves start from
STEP = 0.15  # standard deviation of a move in the unit cube
DRAWS = 50  # tries for a step to a config that is not there yet
MOVED = 0.3  # share of the coordinates that a move changes


@dataclass(frozen=True)
class Planned:
    """A config to be recorded.

    Attributes:
        config_id: its name, which no other config has; a shared config has one name on every table.
        origin: where it comes from.
        config: values of the active hyperparameters.
    """

    config_id: str
    origin: Origin
    config: Config


def shared_configs(space: Space, defaults: Sequence[Config], *, n: int, seed: int) -> list[Planned]:
    """The configs that every table gets: defaults first, then scrambled Sobol points of each branch in turn.

    The beginning of the list is a good sample for every length: branches take turns by their share. Every other
    point of a branch has default preprocessing, so that it is seen with and without.

    Args:
        space: whose branches are the choices of ``algorithm``; a space without one is a single branch.
        defaults: configs made by hand, the most important first.
        n: how many in all.
        seed: of the scrambling.
    """
    for config in defaults:
        space.check(config)
    configs: list[tuple[Origin, Config]] = [("default", config) for config in defaults[:n]]
    points = {name: _sobol(branch, seed) for name, branch in _branches(space).items()}
    turns = _turns({name: SHARES.get(name, 10) for name in points}, n - len(configs))
    configs += [("sobol", next(points[name])) for name in turns]
    return [Planned(f"shared-{i:03d}", origin, config) for i, (origin, config) in enumerate(configs)]


def random_configs(space: Space, *, task: str, n: int, seed: int) -> list[Planned]:
    """Configs of one table alone, drawn evenly."""
    rng = _rng(seed, task, 0)
    return [Planned(f"{task}.random-{i:03d}", "random", space.sample(rng)) for i in range(n)]


def moves(space: Space, ranked: Sequence[Config], *, task: str, n: int, seed: int) -> list[Planned]:
    """Steps from the best configs of a table, where what is learned has to tell good from better.

    Args:
        space: of the configs.
        ranked: what was recorded on the table, the moves left out, the best first.
        task: its name.
        n: how many; fewer where a branch has no other configs near.
        seed: of the steps.
    """
    best = ranked[:BEST]
    rng = _rng(seed, task, 1)
    names = [p.name for p in space]
    planned: list[Planned] = []
    known = [dict(config) for config in best]
    for i in range(n if best else 0):
        unit = space.to_unit(best[i % len(best)])
        for _ in range(DRAWS):
            changed = rng.random(len(unit)) < MOVED
            step = rng.normal(0.0, STEP, len(unit))
            if "algorithm" in names:
                changed[names.index("algorithm")] = False  # another branch is no step
            config = space.from_unit(np.where(changed, np.clip(unit + step, 0.0, 1.0), unit))
            if config not in known:
                known.append(config)
                planned.append(Planned(f"{task}.move-{i:03d}", "move", config))
                break
    return planned


def _branches(space: Space) -> dict[str, Space]:
    if "algorithm" not in space:
        return {space.name: space}
    algorithm = space["algorithm"]
    assert isinstance(algorithm, Categorical)
    return {str(a): space.restrict({"algorithm": {"choices": [a]}}) for a in algorithm.choices}


def _sobol(branch: Space, seed: int) -> Iterator[dict[str, Value]]:
    """Points of a branch, every other one with default preprocessing."""
    names = [p.name for p in branch]
    plain = [i for i, name in enumerate(names) if name in PREPROCESSING]
    engine = qmc.Sobol(
        len(names), scramble=True, rng=np.random.default_rng([seed, zlib.crc32(",".join(names).encode())])
    )
    number = 0
    while True:
        unit = engine.random(1)[0]
        if number % 2 == 0:
            unit[plain] = np.nan
        yield branch.from_unit(unit)
        number += 1


def _turns(shares: Mapping[str, int], n: int) -> list[str]:
    """So many turns, each branch as often as its share, spread as evenly as can be."""
    taken = dict.fromkeys(shares, 0)
    order = []
    for _ in range(n):
        name = min(shares, key=lambda a: ((taken[a] + 0.5) / shares[a], a))
        taken[name] += 1
        order.append(name)
    return order


def _rng(seed: int, task: str, stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(task.encode()), stream])


def breadth_first(shared: Sequence[Planned], tasks: Sequence[str], *, at_once: int) -> Iterator[tuple[str, Planned]]:
    """Every table gets its first configs before any gets its next, so that a recording is usable at every moment."""
    for start in range(0, len(shared), at_once):
        for task in tasks:
            for planned in shared[start : start + at_once]:
                yield task, planned
