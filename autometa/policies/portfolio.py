"""Tuned configs in an order that suits the table, then TPE.

A portfolio is what any learned policy has to beat (Feurer et al. 2022, "Auto-sklearn 2.0"; Salinas and Erickson 2024,
"TabRepo"). Where one learned from recorded tasks is shipped (autometa/weights/portfolio.json), it is taken, else the
orders made by hand in portfolio.toml. Where the time is limited, what would take too much of it waits.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from autometa.policies.candidates import Observed
from autometa.policies.optuna_samplers import TPEPolicy
from autometa.pool import Pool
from autometa.space import key
from autometa.task import Task, Trial

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autometa.parameters import Value
    from autometa.space import Config, Space

SMALL = 1_500  # rows below which the "small" order is used
SHARE = 0.25  # of the time that those before it leave, which a default may take in its turn


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
        tried = {t.key for t in task.history}
        ordered = [d.config for d in defaults(task)]
        left: list[Config] = [config for config in ordered if key(config) not in tried]
        if candidates is not None:  # the history holds what was nearest, so that place in the order counts
            left = _nearest_of(task, ordered[len(task.history) :], candidates, n, seed)
        proposals: list[Config] = list(left[:n])
        if len(proposals) < n:
            begun = task.observe(*(Trial(config) for config in proposals))
            left_over = n - len(proposals)
            proposals += self._then.propose(begun, n=left_over, seed=seed, candidates=candidates)
        return proposals


def defaults(task: Task) -> list[Default]:
    """The portfolio that fits the task's space, in the order for its dataset and its time."""
    found = _for_dataset(task)
    if task.costs is None:
        return found
    seconds = [task.costs.seconds(default.config) for default in found]
    return [found[place] for place in affordable(seconds, task.costs.limit)]


def _for_dataset(task: Task) -> list[Default]:
    """The portfolio that fits the task's space, in the order for its dataset."""
    found, seen = [], set()
    for name, values in _ordered(task.features):
        config = _fitted(task.space, values)
        if config is not None and key(config) not in seen:
            seen.add(key(config))
            found.append(Default(name, config))
    return found


def affordable(seconds: Sequence[float], limit: float) -> list[int]:
    """Places in an order: those that take at most their share of the time left, then the rest, cheapest first."""
    taken, waiting, left = [], [], limit
    for place, took in enumerate(seconds):
        if took <= SHARE * left:
            taken.append(place)
            left -= took
        else:
            waiting.append(place)
    return taken + sorted(waiting, key=lambda place: seconds[place])


def _ordered(features: Mapping[str, float | str]) -> list[tuple[str, Config]]:
    """Names and configs, the first to be tried first."""
    learned = _learned().get(str(features.get("kind", "")), [])
    if learned:
        return [(entry["name"], entry["config"]) for entry in learned]
    configs = {entry["name"]: entry["config"] for entry in entries()}
    order = "small" if 0 < float(features.get("rows", 0)) < SMALL else "usual"
    return [(name, configs[name]) for name in _document()["orders"][order]]


def entries() -> list[dict[str, Any]]:
    """The defaults made by hand, named, as the file has them."""
    found: list[dict[str, Any]] = _document()["entries"]
    return found


def hand_made(space: Space) -> list[Config]:
    """All defaults that fit a space, in the order of the file."""
    fitted = (_fitted(space, entry["config"]) for entry in entries())
    return [config for config in fitted if config is not None]


def hand_orders() -> dict[str, list[int]]:
    """The orders made by hand, as places in :func:`hand_made`."""
    document = _document()
    places = {entry["name"]: i for i, entry in enumerate(entries())}
    return {name: [places[n] for n in order] for name, order in document["orders"].items()}


def source_of(task: Task, config: Config) -> str:
    """Where a proposal of the policy came from, for people to read."""
    names = {key(d.config): d.name for d in _for_dataset(task)}
    return f"portfolio: {names[key(config)]}" if key(config) in names else "tpe"


def _fitted(space: Space, values: Config) -> dict[str, Value] | None:
    if "algorithm" in space and not space["algorithm"].holds(values["algorithm"]):
        return None
    return space.fit(values)


def _nearest_of(task: Task, wanted: Sequence[Config], candidates: Sequence[Config], n: int, seed: int) -> list[Config]:
    """For each wanted config the nearest candidate not yet taken, for as long as any are left."""
    pool = Pool.of(task.space, candidates)
    left = Observed.of(task, pool).left(pool)
    chosen: list[Config] = []
    for config in wanted[:n]:
        if not left:
            break
        place = pool.nearest(config, left, seed=[seed, len(task.history), len(chosen)])
        left.remove(place)
        chosen.append(pool[place])
    return chosen


@cache
def _learned() -> dict[str, list[dict[str, Any]]]:
    """The learned orders by kind of target; empty where none are shipped."""
    path = files("autometa").joinpath("weights/portfolio.json")
    if not path.is_file():
        return {}
    orders: dict[str, list[dict[str, Any]]] = json.loads(path.read_text(encoding="utf-8"))["orders"]
    return orders


@cache
def _document() -> dict[str, Any]:
    text = files("autometa.policies").joinpath("portfolio.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
