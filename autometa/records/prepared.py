"""A table made ready to be recorded: rows to learn from, rows to test on, folds, all as arrays on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from autometa.errors import InputError
from autometa.tables.meta_features import meta_features
from autometa.tables.metrics import resolve_metric
from autometa.tables.reading import read_table
from autometa.tables.schema import Schema
from autometa.tables.splits import Folds, make_folds
from autometa.tables.table import Table
from autometa.tables.target import TargetCodec, choose_target, infer_task
from autometa.tables.whole_files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

FOLDS = 3
MOST_TEST_ROWS = 3_000
TEST_SHARE = 0.3
CONSTANT_LOSS = "constant_loss"


@dataclass(frozen=True)
class Source:
    """A table to record.

    Attributes:
        name: what its task is called.
        path: csv, csv.gz, tsv or parquet.
        target: column to predict; None for the usual choice.
        task: "auto", "classification" or "regression".
        family: tables of one family are related and never stand on both sides of a split.
        split: which part of a collection it belongs to.
        origin, licence: for the card.
    """

    name: str
    path: Path
    target: str | None = None
    task: Literal["auto", "classification", "regression"] = "auto"
    family: str = ""
    split: str = ""
    origin: str = ""
    licence: str = ""


def prepare(source: Source, folder: Path, *, rows: int, seed: int) -> dict[str, Any]:
    """Read a table, draw its rows and write them; what the card is to say of it.

    The test rows are drawn first, class by class; of the others as many are kept as the folds may have.

    Args:
        source: the table.
        folder: where the arrays go; what is there already is taken as it is.
        rows: the most training rows of a fold.
        seed: of the draws.

    Raises:
        InputError: the table cannot be used.
    """
    done = folder / "task.json"
    if done.exists():
        content: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
        return content | _told(source)
    frame = read_table(source.path, seed=seed).frame
    target, _ = choose_target(frame, source.target)
    codec, known, _ = TargetCodec.fit(frame[target], infer_task(frame[target], source.task))
    frame = frame[known].reset_index(drop=True)
    values = codec.encode(frame[target])
    rest, test = _split(values, most=rows * FOLDS // (FOLDS - 1), seed=seed, classes=bool(codec.classes))
    schema, _ = Schema.fit(frame.iloc[rest], exclude={target})
    table, test_table = (
        Table(schema.encode(frame.iloc[rows])[0], values[rows], codec.classes, None) for rows in (rest, test)
    )
    if not table.features.numbers.shape[1] and not table.features.categories.shape[1]:
        raise InputError(f"a recorded table needs a column to learn from; {source.path} has none")
    folds = make_folds(table, k=FOLDS, seed=seed)
    table.save(folder / "table")
    test_table.save(folder / "test")
    folds.save(folder / "folds")
    content = {
        **_told(source),
        "kind": table.kind,
        "metric": resolve_metric(None, table.kind).name,
        "folds": folds.k,
        "rows": len(frame),
        "recorded_rows": len(table),
        "test_rows": len(test_table),
        "numbers": int(table.features.numbers.shape[1]),
        "categories": int(table.features.categories.shape[1]),
        "classes": len(table.classes),
    }
    write_whole(done, json.dumps(content))
    return content


def _told(source: Source) -> dict[str, str]:
    """What the table itself does not say, and what may be corrected later."""
    return {
        "name": source.name,
        "family": source.family or source.name,
        "split": source.split,
        "origin": source.origin,
        "licence": source.licence,
    }


def features_of(folder: Path) -> dict[str, float]:
    """Meta-features of a prepared table, and the loss of a constant prediction, which losses can be measured by."""
    done = folder / "features.json"
    if not done.exists():
        table, folds = Table.load(folder / "table"), Folds.load(folder / "folds")
        metric = resolve_metric(None, table.kind)
        losses = []
        for fold in range(folds.k):
            train, valid = (table.take(rows) for rows in folds.pair(fold))
            losses.append(metric.loss(valid.target, _constant(train, len(valid)), valid.weights))
        write_whole(done, json.dumps(meta_features(table) | {CONSTANT_LOSS: float(np.mean(losses))}))
    found: dict[str, float] = json.loads(done.read_text(encoding="utf-8"))
    return found


def _constant(train: Table, n: int) -> np.ndarray[Any, Any]:
    """The prediction that looks at no column, shape (n, outputs)."""
    if not train.classes:
        return np.full((n, 1), train.target.mean())
    return np.tile(np.bincount(train.target, minlength=len(train.classes)) / len(train), (n, 1))


def _split(values: np.ndarray[Any, Any], *, most: int, seed: int, classes: bool) -> tuple[np.ndarray[Any, Any], ...]:
    """Rows to learn from and rows to test on, in ascending order."""
    rng = np.random.default_rng(seed)
    # Class by class, or from low to high: every third or so row of a shuffled stratum is for testing.
    order = np.lexsort((rng.random(len(values)), values)) if classes else np.argsort(values, kind="stable")
    at = (np.arange(len(values)) * TEST_SHARE + rng.random()) % 1.0 < TEST_SHARE
    test, rest = order[at], order[~at]
    return np.sort(_thin(rest, most, rng)), np.sort(_thin(test, MOST_TEST_ROWS, rng))


def _thin(rows: np.ndarray[Any, Any], most: int, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    return rows if len(rows) <= most else rng.permutation(rows)[:most]
