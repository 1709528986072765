"""`autometa suggest`: what would be tried first on a table, and who says so. Nothing is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from autometa.search.prepare import prepare
from autometa.search.proposals import Proposer, make_policy, usable_space
from autometa.search.resources import granted_memory
from autometa.search.settings import PolicyName, Settings
from autometa.task import Task

if TYPE_CHECKING:
    from autometa.search.records import TrialRecord


def suggest(
    data: str,
    *,
    k: int = 10,
    target: str | None = None,
    task: Literal["auto", "classification", "regression"] = "auto",
    space: str = "tabular",
    policy: PolicyName = "portfolio",
    seed: int = 0,
) -> list[dict[str, Any]]:
    """The first k configs for a table: ``[{"source": ..., "config": {...}}, ...]``.

    Raises:
        InputError: the table or an option cannot be used.
        SpaceError: there is no such space.
    """
    settings = Settings(data=data, target=target, task=task, space=space, seed=seed, memory=granted_memory())
    found = prepare(settings, data)
    empty = Task(data, usable_space(space, kind=found.table.kind), (), found.features)
    propose = Proposer(make_policy(policy), policy, empty, seed, found.plan.folds)
    records: list[TrialRecord] = []
    for _ in range(k):
        records.append(propose([], records))
    return [{"source": r.source, "config": dict(r.config)} for r in records]
