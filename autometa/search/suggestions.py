"""`autometa suggest`: what would be tried first on a table, and which prior tasks speak for it. Nothing is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from autometa.errors import SpaceError
from autometa.records.collection import Collection
from autometa.records.personal import personal_tasks
from autometa.records.time_model import Shape, TimeModel
from autometa.search.neighbours import Neighbour, nearest_tasks
from autometa.search.prepare import prepare
from autometa.search.proposals import Proposer, make_policy, usable_space
from autometa.search.resources import granted_memory
from autometa.search.settings import PolicyName, Settings
from autometa.space import shipped_data
from autometa.tables.meta_features import meta_features
from autometa.task import Task

if TYPE_CHECKING:
    from autometa.search.records import TrialRecord
    from autometa.space import Config


def suggest(
    data: str,
    *,
    k: int = 10,
    target: str | None = None,
    task: Literal["auto", "classification", "regression"] = "auto",
    space: str = "tabular",
    policy: PolicyName = "portfolio",
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """The first k configs for a table, each with what is expected of it and why.

    Returns:
        For each config "source", "config", "expected_seconds" of a trial on this machine (None where the time model
        does not know it), "expected_share" of the way from the worst loss to the best (None without precedents),
        "top_tenth", the number of precedents where it was in the best tenth, and "precedents", the nearest prior
        tasks: "task", "distance", "exact", "rank", "of", "share"; see
        :class:`autometa.search.neighbours.Precedent`.

    Raises:
        InputError: the table or an option cannot be used.
        SpaceError: there is no such space.
    """
    settings = Settings(data=data, target=target, task=task, space=space, seed=seed, memory=granted_memory())
    found = prepare(settings, data)
    searched = usable_space(space, kind=found.table.kind)
    features = found.features | meta_features(found.table)
    own = personal_tasks(searched, say=say)
    chosen = make_policy(policy, kind=found.table.kind, own=own)
    propose = Proposer(chosen, policy, Task(data, searched, (), features), seed, found.plan.folds)
    records: list[TrialRecord] = []
    for _ in range(k):
        records.append(propose([], records))
    shipped = Collection.load(shipped_data("meta_datasets") / "tabular").tasks_on(searched)
    nearest = nearest_tasks(features, [*shipped, *own])
    model = TimeModel.shipped()
    shape, factor = Shape.of_fold(found.table, found.folds), model.calibrate()

    def seconds(config: Config) -> float | None:
        try:
            return found.plan.folds * model.seconds(config, shape, factor=factor)
        except SpaceError:
            return None

    return [
        {"source": r.source, "config": dict(r.config), "expected_seconds": seconds(r.config)}
        | _precedents(r.config, nearest)
        for r in records
    ]


def _precedents(config: Config, nearest: Sequence[Neighbour]) -> dict[str, Any]:
    found = [precedent for one in nearest if (precedent := one.precedent(config)) is not None]
    return {
        "expected_share": fmean(p.share for p in found) if found else None,
        "top_tenth": sum(p.top for p in found),
        "precedents": [asdict(p) for p in found],
    }


def lines_of(suggestion: dict[str, Any]) -> list[str]:
    """A suggestion's config and its reasons, as people read them."""
    lines = [f"{name} = {value}" for name, value in suggestion["config"].items()]
    told = []
    if suggestion["expected_seconds"] is not None:
        told.append(f"about {suggestion['expected_seconds']:.2g} s")
    precedents = suggestion["precedents"]
    if precedents:
        told += [
            f"expected {suggestion['expected_share']:.0%} of the way from the worst loss to the best",
            f"in the top tenth on {suggestion['top_tenth']} of the {len(precedents)} nearest tasks",
        ]
    lines += ["; ".join(told)] if told else []
    for p in precedents:
        how = "" if p["exact"] else ", by the nearest config there"
        lines.append(f"  {p['task']} (distance {p['distance']:.2f}): {p['rank']} of {p['of']}, {p['share']:.0%}{how}")
    return lines
