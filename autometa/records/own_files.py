"""autometa's own layout of a collection on disk, and how it is read.

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

if TYPE_CHECKING:
    from pathlib import Path

CARD, TRIALS, FEATURES, SPACE = "card.toml", "trials.parquet", "features.parquet", "space.toml"
NEW = "new-"  # of what a write puts beside its place; once the card names it, it counts
TRIES = 3  # another process may write between two reads
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


def read_own(folder: Path) -> Collection:
    """Read a collection and check that it is whole.

    Raises:
        ModelError: a file is missing, damaged, or does not fit the other.
    """
    card, space, table, features = read_parts(folder)
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
        stopped=np.asarray(pc.equal(table["state"].cast(pa.string()), "pruned").fill_null(fill_value=False)),
    )
    known = {name: values for name, values in features.items() if name in names}
    return Collection(card, space, configs, evaluations, known)


def _features(content: bytes | None, folder: Path) -> dict[str, dict[str, float]]:
    """Meta-features by task; what a task lacks is not there."""
    if content is None:
        return {}
    try:
        rows = pq.read_table(pa.BufferReader(content)).to_pylist()
        return {row.pop("task"): {name: x for name, x in row.items() if x is not None} for row in rows}
    except (pa.ArrowInvalid, KeyError) as error:
        raise ModelError(f"{folder / FEATURES} is not a table of meta-features by task: {error}") from error


def space_of(folder: Path, card: Card) -> Space:
    """The space of a collection.

    Raises:
        ModelError: it is a shipped one, of another version than this autometa has.
        SpaceError: there is no such space.
    """
    space = Space.load(folder / SPACE if (folder / SPACE).exists() else card.space)
    if space.version != card.space_version:
        raise ModelError(
            f"{folder} was recorded on {card.space} {card.space_version}; this autometa has version {space.version}"
        )
    return space


def read_trials(folder: Path) -> tuple[Card, Space, pa.Table]:
    """The card, the space and the trials as they stand in the files.

    Raises:
        ModelError: a file is missing, damaged, or does not fit the other.
    """
    return read_parts(folder)[:3]


def read_parts(folder: Path, *, verify: bool = True) -> tuple[Card, Space, pa.Table, dict[str, dict[str, float]]]:
    """The card, the space, the trials, and the meta-features by task.

    Args:
        folder: of the collection.
        verify: whether the trials must be the very ones that the card names, which whoever goes on recording puts
            right.

    Raises:
        ModelError: a file is missing, damaged, or does not fit the other.
    """
    card, trials, told = _files(folder, verify=verify)
    space = space_of(folder, card)
    return card, space, _trials(folder, space, trials), _features(told, folder)


def _files(folder: Path, *, verify: bool) -> tuple[Card, bytes, bytes | None]:
    """The card, and the trials and meta-features that go with it: those of a write that was killed are still new."""
    for _ in range(TRIES):
        card, checksum = Card.read(folder / CARD)
        for prefix in ("", NEW):
            trials = _content(folder / f"{prefix}{TRIALS}")
            if trials is not None and hashlib.sha256(trials).hexdigest() == checksum:
                features = _content(folder / f"{prefix}{FEATURES}")
                return card, trials, _content(folder / FEATURES) if features is None else features
    trials = _content(folder / TRIALS)
    if trials is None:
        raise ModelError(f"a collection holds {CARD} and {TRIALS}; {folder} has no {TRIALS}")
    if verify:
        raise ModelError(f"{folder / TRIALS} is not the file that {CARD} speaks of; take both from one recording")
    return card, trials, _content(folder / FEATURES)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelError(f"the files of a collection must be readable; {path}: {error.strerror}") from error


def _trials(folder: Path, space: Space, content: bytes) -> pa.Table:
    table = pq.read_table(pa.BufferReader(content))
    schema = schema_of(space)
    for column in schema:
        if column.name not in table.schema.names and column.name.startswith("config."):
            table = table.append_column(column, pa.nulls(len(table), column.type))  # recorded on a part of the space
    if set(table.schema.names) != set(schema.names):
        odd = sorted(set(schema.names) ^ set(table.schema.names))
        raise ModelError(f"{folder / TRIALS} must have the columns of its space; these differ: {odd}")
    return table.select(schema.names)


def whole_of(folder: Path) -> tuple[Card, list[dict[str, Any]], dict[str, dict[str, float]]]:
    """Card, evaluations and meta-features as :func:`autometa.records.own_writing.write_own` got them, to go on with."""
    card, space, table, features = read_parts(folder, verify=False)
    return card, _rows(space, table), features


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The recorded evaluations as they were given to :func:`autometa.records.own_writing.write_own`."""
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


def _from_text(p: Parameter, value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and not words(p) else value


def words(p: Parameter) -> bool:
    """Whether a hyperparameter takes words only, which are written as they are."""
    return isinstance(p, Categorical) and all(isinstance(c, str) for c in p.choices)


def _numbers(table: pa.Table, name: str) -> np.ndarray[Any, Any]:
    return np.asarray(table[name].combine_chunks().cast(pa.float64()).fill_null(float("nan")))
