"""A collection: many configs of one space recorded on many datasets, with a card that says how.

```
card.toml         what was recorded and how; every dataset with its family, split, origin and licence
trials.parquet    one row per evaluation, column `task` first; see SCHEMA
space.toml        the space, where it is not a shipped one
```
"""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w

from autometa.errors import ModelError, SpaceError
from autometa.space import Space
from autometa.tables.whole_files import write_whole
from autometa.task import Task, Trial

FORMAT = 1
CARD, TRIALS = "card.toml", "trials.parquet"
SPACE = "space.toml"
SCHEMA = pa.schema(
    [
        ("task", pa.string()),
        ("config_id", pa.string()),
        ("origin", pa.string()),
        ("config", pa.string()),  # JSON: which hyperparameters are active differs from config to config
        ("budget", pa.float32()),
        ("folds", pa.int8()),
        ("fold_losses", pa.list_(pa.float32())),
        ("loss", pa.float32()),
        ("test_loss", pa.float32()),
        ("fit_s", pa.float32()),
        ("predict_s", pa.float32()),
        ("cpu_s", pa.float32()),
        ("peak_mb", pa.float32()),
        ("state", pa.string()),
        ("error", pa.string()),
        ("machine", pa.string()),
        ("curve", pa.list_(pa.float32())),
        ("rounds", pa.int32()),
    ]
)


@dataclass(frozen=True)
class Dataset:
    """What the card says of a dataset.

    Attributes:
        name: of its task.
        family: related datasets share one; a family never stands on both sides of a split.
        split: the part of the collection that it belongs to.
        origin, licence: where it comes from.
        kind: "binary", "multiclass" or "regression".
        metric: whose loss was recorded.
        folds: of the recorded rows.
        rows, recorded_rows, test_rows: of the table, of the folds, and the held-out ones.
        numbers, categories: columns after encoding.
        classes: 0 for a number.
    """

    name: str
    family: str
    split: str
    origin: str
    licence: str
    kind: str
    metric: str
    folds: int
    rows: int
    recorded_rows: int
    test_rows: int
    numbers: int
    categories: int
    classes: int

    @property
    def features(self) -> dict[str, float | str]:
        """What a policy may know of it, as in a search."""
        return {
            "kind": self.kind,
            "rows": float(self.recorded_rows),
            "features": float(self.numbers + self.categories),
            "numbers": float(self.numbers),
            "categories": float(self.categories),
            "classes": float(self.classes),
        }


@dataclass(frozen=True)
class Card:
    """What a collection says of itself.

    Attributes:
        name: of the collection.
        about: what was recorded and how, in a sentence or two.
        space, space_version: of the configs.
        objective_version: of the evaluation; recordings of another one are not comparable.
        seed: of rows, configs and fits.
        seconds: limit of a fit.
        versions: of the packages.
        machines: kinds of processors.
        datasets: one per task.
    """

    name: str
    about: str
    space: str
    space_version: str
    objective_version: str
    seed: int
    seconds: float
    versions: Mapping[str, str]
    machines: tuple[str, ...]
    datasets: tuple[Dataset, ...]


@dataclass(frozen=True)
class Collection:
    """Recorded tasks.

    Attributes:
        card: what they are.
        space: of their configs.
        tasks: by name, with their trials at full budget and at shares of it, in the order of recording.
        rows: the recorded evaluations, as in trials.parquet.
    """

    card: Card
    space: Space
    tasks: Mapping[str, Task]
    rows: tuple[Mapping[str, Any], ...]

    @property
    def splits(self) -> dict[str, list[str]]:
        """Names of the tasks by split."""
        found: dict[str, list[str]] = {}
        for dataset in self.card.datasets:
            found.setdefault(dataset.split, []).append(dataset.name)
        return found

    @classmethod
    def load(cls, folder: str | Path) -> Collection:
        """Read a collection and check that it is whole.

        Raises:
            ModelError: a file is missing, damaged, or does not fit the other.
        """
        path = Path(folder)
        card, checksum = _read_card(path / CARD)
        content = _read(path / TRIALS)
        if hashlib.sha256(content).hexdigest() != checksum:
            raise ModelError(f"{path / TRIALS} is not the file that {CARD} speaks of; take both from one recording")
        table = pq.read_table(pa.BufferReader(content))
        if table.schema.names != SCHEMA.names:
            raise ModelError(f"{path / TRIALS} must have the columns {SCHEMA.names}; it has {table.schema.names}")
        space = Space.load(path / SPACE if (path / SPACE).exists() else card.space)
        if space.version != card.space_version:
            raise ModelError(
                f"{path} was recorded on {card.space} {card.space_version}; this autometa has version {space.version}"
            )
        rows = table.to_pylist()
        configs: dict[str, Any] = {}
        for row in rows:
            text = row["config"]
            if text not in configs:
                configs[text] = json.loads(text)
                try:
                    space.check(configs[text])
                except SpaceError as error:
                    raise ModelError(f"{path / TRIALS}, config {row['config_id']}: {error}") from error
            row["config"] = configs[text]
        datasets = {d.name: d for d in card.datasets}
        unknown = sorted({row["task"] for row in rows} - set(datasets))
        if unknown:
            raise ModelError(f"{path / CARD} must name every dataset; it lacks {unknown[:5]}")
        by_task: dict[str, list[Trial]] = {name: [] for name in datasets}
        for row in rows:
            by_task[row["task"]].append(trial_of(row))
        tasks = {name: Task(name, space, tuple(trials), datasets[name].features) for name, trials in by_task.items()}
        return cls(card, space, tasks, tuple(rows))


def write_collection(folder: Path, card: Card, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a collection: tasks together, shared configs first, the trials file before the card that names it."""
    ordered = sorted(rows, key=lambda r: (r["task"], -r["budget"], r["config_id"]))
    plain = [{**row, "config": json.dumps(dict(row["config"]))} for row in ordered]
    table = pa.Table.from_pylist(plain, schema=SCHEMA)
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f"new-{TRIALS}"
    pq.write_table(table, beside, compression="zstd", compression_level=15)
    checksum = hashlib.sha256(beside.read_bytes()).hexdigest()
    beside.replace(folder / TRIALS)
    document = {"format": FORMAT, "checksum": checksum, **_plain(asdict(card))}
    write_whole(folder / CARD, tomli_w.dumps(document))


def trial_of(row: Mapping[str, Any]) -> Trial:
    """A recorded evaluation as policies see it."""
    losses = tuple(math.nan if x is None else float(x) for x in row["fold_losses"] or ())
    loss = math.nan if row["loss"] is None else float(row["loss"])
    return Trial(
        config=row["config"],
        state="failed" if math.isnan(loss) else "complete",
        loss=loss,
        fold_losses=losses,
        budget=float(row["budget"]),
        seconds=float(row["fit_s"] or 0.0) + float(row["predict_s"] or 0.0),
        curve=tuple(float(x) for x in row["curve"] or ()),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"a collection holds {CARD} and {TRIALS}; {path} cannot be read: {error.strerror}") from error


def _read_card(path: Path) -> tuple[Card, str]:
    try:
        document = tomllib.loads(_read(path).decode())
        if document.pop("format") != FORMAT:
            raise ModelError(f"this autometa reads collections of format {FORMAT}; {path} has another one")
        checksum = str(document.pop("checksum"))
        datasets = tuple(Dataset(**entry) for entry in document.pop("datasets"))
        machines = tuple(document.pop("machines"))
        return Card(**document, machines=machines, datasets=datasets), checksum
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is not the card of a collection: {error}") from error


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    """Lists for tuples, which TOML does not know."""
    return {name: list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
            for name, value in document.items()}  # fmt: skip
