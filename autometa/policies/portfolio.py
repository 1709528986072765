"""Tuned defaults in an order that suits the table, then TPE: a strong start that learns nothing before it.

A portfolio of defaults is what any learned policy has to beat (Feurer et al. 2022, "Auto-sklearn 2.0";
Salinas and Erickson 2024, "TabRepo").
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from autometa.policies.candidates import Observed
from autometa.policies.optuna_samplers import TPEPolicy
from autometa.pool import Pool, key
from autometa.task import Task, Trial

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autometa.parameters import Value
    from autometa.space import Config, Space

SMALL = 1_500  # rows below which the "small" order is used
COSTLY = 40_000  # rows times classes above which the "costly" order is used


@dataclass(frozen=True)
class Default:
    """A tuned default.

    Attributes:
        name: what people call it.
        config: a config of the task's space.
    """

    name: str
    config: dict[str, Value]


class PortfolioPolicy:
    """The tuned defaults that the task's history does not hold yet, then proposals of TPE."""

    def __init__(self) -> None:
        self._then = TPEPolicy(startup=0)

    def propose(self, task: Task, *, n: int, seed: int, candidates: Sequence[Config] | None = None) -> list[Config]:
        """The next n configs; see :class:`autometa.task.Policy`."""
        tried = {key(t.config) for t in task.history}
        left: list[Config] = [d.config for d in defaults(task) if key(d.config) not in tried]
        if candidates is not None:
            left = _nearest_of(task, left, candidates, n)
        proposals: list[Config] = list(left[:n])
        if len(proposals) < n:
            begun = task.observe(*(Trial(config) for config in proposals))
            left_over = n - len(proposals)
            proposals += self._then.propose(begun, n=left_over, seed=seed, candidates=candidates)
        return proposals


def defaults(task: Task) -> list[Default]:
    """The defaults that fit the task's space, in the order for its dataset."""
    document = _document()
    configs: Mapping[str, Config] = {e["name"]: e["config"] for e in document["entries"]}
    found, seen = [], set()
    for name in document["orders"][_order(task.features)]:
        config = _fitted(task.space, configs[name])
        if config is not None and key(config) not in seen:
            seen.add(key(config))
            found.append(Default(name, config))
    return found


def hand_made(space: Space) -> list[Config]:
    """All defaults that fit a space, in the order of the file."""
    fitted = (_fitted(space, entry["config"]) for entry in _document()["entries"])
    return [config for config in fitted if config is not None]


def source_of(task: Task, config: Config) -> str:
    """Where a proposal of the policy came from, for people to read."""
    names = {key(d.config): d.name for d in defaults(task)}
    return f"portfolio: {names[key(config)]}" if key(config) in names else "tpe"


def _fitted(space: Space, values: Config) -> dict[str, Value] | None:
    if "algorithm" in space and not space["algorithm"].holds(values["algorithm"]):
        return None
    return space.fit(values)


def _order(features: Mapping[str, float | str]) -> str:
    rows, classes = float(features.get("rows", 0)), float(features.get("classes", 0))
    if classes > 2 and rows * classes > COSTLY:
        return "costly"
    return "small" if 0 < rows < SMALL else "usual"


def _nearest_of(task: Task, wanted: Sequence[Config], candidates: Sequence[Config], n: int) -> list[Config]:
    """For each wanted config the nearest candidate not yet taken, for as long as any are left."""
    pool = Pool.of(task.space, candidates)
    left = Observed.of(task, pool).left(pool)
    chosen: list[Config] = []
    for config in wanted[:n]:
        if not left:
            break
        place = pool.nearest(config, left)
        left.remove(place)
        chosen.append(pool[place])
    return chosen


@cache
def _document() -> dict[str, Any]:
    text = files("autometa.policies").joinpath("portfolio.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
