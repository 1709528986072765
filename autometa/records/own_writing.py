"""Writing a collection in autometa's own layout, so that a kill leaves the one before or the new one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from autometa.records.own_files import CARD, FEATURES, NEW, TRIALS, schema_of, words
from autometa.tables.whole_files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from autometa.parameters import Parameter
    from autometa.records.card import Card
    from autometa.space import Space

Features = Mapping[str, Mapping[str, float]]


def write_own(
    folder: Path,
    card: Card,
    space: Space,
    rows: Iterable[Mapping[str, Any]],
    features: Features | None = None,
) -> None:
    """Write a recording: tasks together, shared configs first.

    Args:
        folder: where.
        card: of the collection.
        space: of its configs.
        rows: the columns of HEAD and TAIL by name, and ``config``.
        features: meta-features by task; None where there are none.
    """
    ordered = sorted(rows, key=lambda r: (r["task"], -r["budget"], r["config_id"]))
    write_table(folder, card, table_of(space, ordered), features)


def table_of(space: Space, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Evaluations as trials.parquet holds them, in the order given.

    Args:
        space: of the configs.
        rows: the columns of HEAD and TAIL by name, and ``config``.
    """
    listed = list(rows)
    schema = schema_of(space)
    columns = {}
    for column in schema:
        name = column.name.removeprefix("config.")
        inside = column.name != name
        values = [row["config"].get(name) if inside else row[name] for row in listed]
        if inside and column.type == pa.string():
            values = [_to_text(space[name], v) for v in values]
        if pa.types.is_dictionary(column.type):
            columns[column.name] = pa.array(values, pa.string()).dictionary_encode()
        else:
            columns[column.name] = pa.array(values, column.type)
    return pa.table(columns, schema=schema)


def write_table(folder: Path, card: Card, table: pa.Table, features: Features | None = None) -> None:
    """Write a collection. The card is replaced in one step and names the trials that count, wherever they stand.

    Args:
        folder: where.
        card: of the collection.
        table: as :func:`table_of` makes it.
        features: meta-features by task; None leaves those that are there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trials, told = folder / f"{NEW}{TRIALS}", folder / f"{NEW}{FEATURES}"
    told.unlink(missing_ok=True)
    if features:
        names = dict.fromkeys(name for values in features.values() for name in values)
        listed = [
            {"task": task, **{name: values.get(name) for name in names}} for task, values in sorted(features.items())
        ]
        _write(pa.Table.from_pylist(listed), told)
    _write(table, trials, compression="zstd", compression_level=15)
    write_whole(folder / CARD, card.to_toml(hashlib.sha256(trials.read_bytes()).hexdigest()))
    if features:
        told.replace(folder / FEATURES)
    trials.replace(folder / TRIALS)


def _write(table: pa.Table, path: Path, **how: Any) -> None:
    """Write a table and bring it to the disk, before anything names it."""
    with path.open("wb") as handle:
        pq.write_table(table, handle, **how)
        handle.flush()
        os.fsync(handle.fileno())


def _to_text(p: Parameter, value: Any) -> Any:
    """Choices of different kinds are written as JSON."""
    return value if value is None or words(p) else json.dumps(value)
