"""autometa's own layout of a collection on disk.

```
card.toml         what was recorded and how; every dataset with its family, split, origin and licence
trials.parquet    one row per evaluation: the columns of HEAD, `config.NAME` for each hyperparameter, those of TAIL
features.parquet  one row per task, one column per meta-feature; not in every collection
space.toml        the space, where it is not a shipped one
```
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from autometa.errors import ModelError, SpaceError
from autometa.parameters import Categorical, Float, Parameter
from autometa.records.card import Card
from autometa.records.collection import Collection, Evaluations
from autometa.space import Config, Space
from autometa.tables.whole_files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

CARD, TRIALS, FEATURES, SPACE = "card.toml", "trials.parquet", "features.parquet", "space.toml"
_WORD = pa.dictionary(pa.int32(), pa.string())
_LOSSES = pa.list_(pa.float32())
HEAD = [("task", _WORD), ("config_id", _WORD), ("origin", _WORD)]
TAIL = [
    ("budget", pa.float32()), ("folds", pa.int8()), ("fold_losses", _LOSSES), ("loss", pa.float32()),
    ("test_loss", pa.float32()), ("fit_s", pa.float32()), ("predict_s", pa.float32()), ("cpu_s", pa.float32()),
    ("peak_mb", pa.float32()), ("state", _WORD), ("error", _WORD), ("machine", _WORD), ("curve", _LOSSES),
    ("rounds", pa.int32()),
]  # fmt: skip


def schema_of(space: Space) -> pa.Schema:
    """The columns of trials.parquet; a hyperparameter that is not active is null."""
    return pa.schema([*HEAD, *((f"config.{p.name}", _type_of(p)) for p in space), *TAIL])


def write_own(
    folder: Path,
    card: Card,
    space: Space,
    rows: Iterable[Mapping[str, Any]],
    features: Mapping[str, Mapping[str, float]] | None = None,
) -> None:
    """Write a collection: tasks together, shared configs first, the trials before the card that names them.

    Args:
        folder: where.
        card: of the collection.
        space: of its configs.
        rows: the columns of HEAD and TAIL by name, and ``config``.
        features: meta-features by task, the same names for all; None where there are none.
    """
    ordered = sorted(rows, key=lambda r: (r["task"], -r["budget"], r["config_id"]))
    schema = schema_of(space)
    columns = {}
    for column in schema:
        name = column.name.removeprefix("config.")
        inside = column.name != name
        values = [row["config"].get(name) if inside else row[name] for row in ordered]
        if inside and column.type == pa.string():
            values = [_to_text(space[name], v) for v in values]
        if pa.types.is_dictionary(column.type):
            columns[column.name] = pa.array(values, pa.string()).dictionary_encode()
        else:
            columns[column.name] = pa.array(values, column.type)
    folder.mkdir(parents=True, exist_ok=True)
    if features:
        listed = [{"task": task, **values} for task, values in sorted(features.items())]
        pq.write_table(pa.Table.from_pylist(listed), folder / f"new-{FEATURES}")
        (folder / f"new-{FEATURES}").replace(folder / FEATURES)
    beside = folder / f"new-{TRIALS}"
    pq.write_table(pa.table(columns, schema=schema), beside, compression="zstd", compression_level=15)
    text = card.to_toml(hashlib.sha256(beside.read_bytes()).hexdigest())
    beside.replace(folder / TRIALS)
    write_whole(folder / CARD, text)


def read_own(folder: Path) -> Collection:
    """Read a collection and check that it is whole.

    Raises:
        ModelError: a file is missing, damaged, or does not fit the other.
    """
    card, space, table = read_trials(folder)
    names = {d.name: i for i, d in enumerate(card.datasets)}
    tasks = table["task"].combine_chunks()
    words = tasks.dictionary.to_pylist()
    unknown = sorted(set(words) - set(names))
    if unknown:
        raise ModelError(f"{folder / CARD} must name every dataset; it lacks {unknown[:5]}")
    configs, config = _configs(folder, space, table)
    evaluations = Evaluations(
        task=np.array([names[w] for w in words], np.int32)[tasks.indices.to_numpy()],
        config=config,
        # A third in single precision is no third in double: what is 1 stays 1, the rest needs no more digits.
        budget=np.round(_numbers(table, "budget"), 6),
        loss=_numbers(table, "loss"),
        test_loss=_numbers(table, "test_loss"),
        seconds=_numbers(table, "cpu_s"),
        fold_losses=table["fold_losses"].combine_chunks(),
        curve=table["curve"].combine_chunks(),
    )
    return Collection(card, space, configs, evaluations, _features(folder))


def _features(folder: Path) -> dict[str, dict[str, float]]:
    if not (folder / FEATURES).exists():
        return {}
    try:
        rows = pq.read_table(folder / FEATURES).to_pylist()
        return {row.pop("task"): row for row in rows}
    except (pa.ArrowInvalid, KeyError) as error:
        raise ModelError(f"{folder / FEATURES} is not a table of meta-features by task: {error}") from error


def read_trials(folder: Path, *, verify: bool = True) -> tuple[Card, Space, pa.Table]:
    """The card, the space and the trials as they stand in the files.

    Args:
        folder: of the collection.
        verify: whether the trials must be the very ones that the card names. A kill between the two writes leaves
            new trials beside an old card, which whoever goes on recording puts right.

    Raises:
        ModelError: a file is missing, damaged, or does not fit the other.
    """
    card, checksum = Card.read(folder / CARD)
    try:
        content = (folder / TRIALS).read_bytes()
    except OSError as error:
        raise ModelError(f"a collection holds {CARD} and {TRIALS}; {folder / TRIALS}: {error.strerror}") from error
    if verify and hashlib.sha256(content).hexdigest() != checksum:
        raise ModelError(f"{folder / TRIALS} is not the file that {CARD} speaks of; take both from one recording")
    space = Space.load(folder / SPACE if (folder / SPACE).exists() else card.space)
    if space.version != card.space_version:
        raise ModelError(
            f"{folder} was recorded on {card.space} {card.space_version}; this autometa has version {space.version}"
        )
    table = pq.read_table(pa.BufferReader(content))
    schema = schema_of(space)
    for column in schema:
        if column.name not in table.schema.names and column.name.startswith("config."):
            table = table.append_column(column, pa.nulls(len(table), column.type))  # recorded on a part of the space
    if set(table.schema.names) != set(schema.names):
        odd = sorted(set(schema.names) ^ set(table.schema.names))
        raise ModelError(f"{folder / TRIALS} must have the columns of its space; these differ: {odd}")
    return card, space, table.select(schema.names)


def whole_of(folder: Path) -> tuple[Card, list[dict[str, Any]], dict[str, dict[str, float]]]:
    """Card, evaluations and meta-features as they were given to :func:`write_own`, to be gone on with."""
    card, space, table = read_trials(folder, verify=False)
    return card, _rows(space, table), _features(folder)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The recorded evaluations as they were given to :func:`write_own`."""
    _, space, table = read_trials(folder)
    return _rows(space, table)


def _rows(space: Space, table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for row in table.to_pylist():
        active = {k: v for k, v in row.items() if k.startswith("config.") and v is not None}
        config = {k.removeprefix("config."): v for k, v in active.items()}
        plain = {k: v for k, v in row.items() if not k.startswith("config.")}
        rows.append(plain | {"config": {k: _from_text(space[k], v) for k, v in config.items()}})
    return rows


def _configs(folder: Path, space: Space, table: pa.Table) -> tuple[tuple[Config, ...], np.ndarray[Any, Any]]:
    """Every config once, and which of them each row has."""
    ids = table["config_id"].combine_chunks().indices.to_numpy()
    codes, first, place = np.unique(ids, return_index=True, return_inverse=True)
    columns = {}
    for p in space:
        column = table[f"config.{p.name}"].combine_chunks()
        once = column.take(first)
        again = once.take(place)
        same = pc.or_kleene(pc.equal(column, again), pc.and_(column.is_null(), again.is_null()))
        if not pc.all(same.fill_null(fill_value=False)).as_py():
            raise ModelError(f"in {folder / TRIALS} one config_id must mean one config; {p.name!r} differs")
        columns[p.name] = [_from_text(p, v) for v in once.to_pylist()]
    configs = []
    for i in range(len(codes)):
        config = {name: values[i] for name, values in columns.items() if values[i] is not None}
        try:
            space.check(config)
        except SpaceError as error:
            raise ModelError(f"{folder / TRIALS}, config {i}: {error}") from error
        configs.append(config)
    return tuple(configs), place.astype(np.int32)


def _type_of(p: Parameter) -> pa.DataType:
    if isinstance(p, Float):
        return pa.float64()
    if not isinstance(p, Categorical):
        return pa.int64()
    plain = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
    kinds = [type(c) for c in p.choices]
    return plain.get(kinds[0], pa.string()) if len(set(kinds)) == 1 else pa.string()


def _to_text(p: Parameter, value: Any) -> Any:
    """Choices of different kinds are written as JSON."""
    return value if value is None or _words(p) else json.dumps(value)


def _from_text(p: Parameter, value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and not _words(p) else value


def _words(p: Parameter) -> bool:
    return isinstance(p, Categorical) and all(isinstance(c, str) for c in p.choices)


def _numbers(table: pa.Table, name: str) -> np.ndarray[Any, Any]:
    return np.asarray(table[name].combine_chunks().cast(pa.float64()).fill_null(float("nan")))
