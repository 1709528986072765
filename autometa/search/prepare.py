"""From what the user named to what workers read: table, folds, and what was noticed on the way."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from autometa.search.describe import describe_data
from autometa.search.plan import Plan, make_plan
from autometa.tables.findings import Finding
from autometa.tables.leaks import find_leaks
from autometa.tables.metrics import Metric, resolve_metric
from autometa.tables.reading import read_table
from autometa.tables.schema import Schema
from autometa.tables.side_columns import check_side_columns, sample_weights
from autometa.tables.splits import Folds, make_folds
from autometa.tables.table import Table
from autometa.tables.target import TargetCodec, choose_target, infer_task

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from autometa.search.settings import Settings


@dataclass(frozen=True)
class Prepared:
    """A dataset ready to be searched.

    Attributes:
        table: all rows that fit in memory and have a target.
        folds: of the rows that the search looks at.
        schema, codec: encode new rows and decode predictions.
        target: the target's name.
        metric: what is optimised.
        plan: how configs are evaluated.
        rows_total: rows of the source, those left out included.
        findings: named warnings.
        description: what each column looked like, for the report.
        reading_seconds: what reading the source took.
    """

    table: Table
    folds: Folds
    schema: Schema
    codec: TargetCodec
    target: str
    metric: Metric
    plan: Plan
    rows_total: int
    findings: tuple[Finding, ...]
    description: dict[str, Any]
    reading_seconds: float

    @property
    def features(self) -> dict[str, float | str]:
        """What a policy may know of the dataset."""
        return self.table.sizes


def prepare(settings: Settings, source: str | Path | pd.DataFrame) -> Prepared:
    """Read, encode, check and split a dataset.

    Raises:
        InputError: the table or an option cannot be used.
    """
    began = time.monotonic()
    raw = read_table(source, memory_bytes=settings.memory, seed=settings.seed)
    reading_seconds = time.monotonic() - began
    frame, findings = raw.frame, list(raw.warnings)
    # The time of a row is known when it is to be predicted, so it stays a feature; these two do not.
    apart = {name for name in (settings.group, settings.weight) if name is not None}
    target, chosen = choose_target(frame.drop(columns=list(apart), errors="ignore"), settings.target)
    check_side_columns(frame, target=target, weight=settings.weight, group=settings.group, time=settings.time_column)
    findings += [chosen] if chosen is not None else []
    kind = infer_task(frame[target], settings.task)
    codec, known, found = TargetCodec.fit(frame[target], kind)
    findings += found
    if not known.all():
        frame = frame[known].reset_index(drop=True)
    schema, found = Schema.fit(frame, exclude={target, *apart})
    findings += found
    features, found = schema.encode(frame)
    findings += found
    weights = None if settings.weight is None else sample_weights(frame[settings.weight])
    table = Table(features, codec.encode(frame[target]), codec.classes, weights)
    findings += find_leaks(table, seed=settings.seed)
    metric = resolve_metric(settings.metric, table.kind)
    split_by = "group" if settings.group else "time" if settings.time_column else None
    plan = make_plan(
        rows=len(table),
        columns=features.numbers.shape[1] + features.categories.shape[1],
        split_by=split_by,
    )
    folds, found = _fold(table, frame, plan, settings)
    findings += found
    roles = {column.name: column.role for column in schema.columns}
    return Prepared(
        table=table,
        folds=folds,
        schema=schema,
        codec=codec,
        target=target,
        metric=metric,
        plan=replace(plan, folds=folds.k, repeats=folds.repeats),
        rows_total=raw.rows_total,
        findings=tuple(findings),
        reading_seconds=reading_seconds,
        description=describe_data(frame, target, classes=table.classes, roles=roles, seed=settings.seed),
    )


def _fold(table: Table, frame: pd.DataFrame, plan: Plan, settings: Settings) -> tuple[Folds, list[Finding]]:
    findings = []
    rows = None
    if plan.search_rows < len(table):
        rng = np.random.default_rng(settings.seed)
        rows = np.sort(rng.permutation(len(table))[: plan.search_rows])
        message = f"the search looks at {plan.search_rows:,} of {len(table):,} rows"
        if not (settings.group or settings.time_column):
            message += "; the best models are fitted again on as many as time and memory allow"
        findings.append(Finding("searched-on-sample", message))
    folds = make_folds(
        table if rows is None else table.take(rows),
        k=plan.folds,
        repeats=plan.repeats,
        seed=settings.seed,
        groups=_column(frame, settings.group, rows),
        times=_column(frame, settings.time_column, rows),
        embargo=settings.embargo,
    )
    findings += folds.findings
    return (folds if rows is None else folds.within(rows)), findings


def _column(frame: pd.DataFrame, name: str | None, rows: NDArray[np.intp] | None) -> pd.Series | None:
    if name is None:
        return None
    return frame[name] if rows is None else frame[name].iloc[rows]
