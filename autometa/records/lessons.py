"""Finished runs and studies as tasks of a collection, one collection for each space.

A folder of lessons holds a collection in a subfolder for each space, named by the version of a shipped space or by a
digest of any other. A lesson is numbers, and the names and values of hyperparameters: nothing of a table is in it but
its meta-features.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from autometa.errors import InputError, RunError
from autometa.parameters import Float
from autometa.records.card import Card, Dataset
from autometa.records.own_files import CARD, SPACE, read_parts
from autometa.records.own_writing import table_of, write_table
from autometa.space import Space, key, shipped_spaces
from autometa.tables.meta_features import NAMES
from autometa.tables.whole_files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from autometa.task import Task, Trial

ABOUT = "own runs and studies; losses of validation rows, seconds by the clock, of all folds of a trial together"
LOCK = ".lock"
PATIENCE = 5.0  # seconds to wait for another process that is learning
BASIC = ("kind", "rows", "features", "numbers", "categories", "classes")  # what a card says of a dataset


@dataclass(frozen=True)
class Lesson:
    """A finished run or study as a task.

    Attributes:
        task: its trials, and what is known of its dataset; the name is the same whenever it is learned again.
        metric: whose loss was measured; "" where nobody knows.
        folds: of a whole evaluation.
    """

    task: Task
    metric: str = ""
    folds: int = 1


def digest(text: str) -> str:
    """Sixteen hexadecimal digits that say nothing of the text, but are the same for the same one."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def learn_into(folder: Path, lessons: Sequence[Lesson], *, most: int | None = None) -> dict[Path, int]:
    """Add lessons to a folder; one that is there already is replaced.

    Each collection is as before or after at every moment. A lesson whose space has changed since moves from one to
    the other; a kill between the two leaves it in both until it is learned again.

    Args:
        folder: made if it is not there.
        lessons: of any spaces.
        most: tasks of one collection; of more, those that were learned first are dropped. None for no limit.

    Returns:
        How many tasks each collection that was added to has now.

    Raises:
        InputError: the folder is a collection itself.
        RunError: it cannot be written, or another process is learning there.
        ModelError: a collection in it is damaged.
    """
    if (folder / CARD).exists():
        raise InputError(
            f"what is learned goes into one subfolder for each space; {folder} is a collection itself: name another"
        )
    by_space: dict[str, tuple[Space, list[Lesson]]] = {}
    for lesson in lessons:
        name, space = _named(lesson.task.space)
        by_space.setdefault(name, (space, []))[1].append(lesson)
    counts = {}
    with _held(folder):
        for name, (space, given) in by_space.items():
            counts[folder / name] = _rewrite(folder / name, space, given, most=most)
            names = frozenset(lesson.task.name for lesson in given)
            for other in sorted(p.parent for p in folder.glob(f"*/{CARD}") if p.parent.name != name):
                card, _ = Card.read(other / CARD)
                if names & {d.name for d in card.datasets}:
                    _rewrite(other, None, (), without=names)
    return counts


def _named(space: Space) -> tuple[str, Space]:
    """What a space's subfolder is called, and the space, which is called so too unless it is a shipped one."""
    if space.name in shipped_spaces() and Space.load(space.name) == space:
        return space.version, space
    nameless = replace(space, name="", version="")
    name = f"space-{digest(nameless.to_toml())}"
    return name, replace(nameless, name=name)


def _rewrite(
    folder: Path,
    space: Space | None,
    lessons: Sequence[Lesson],
    *,
    without: frozenset[str] = frozenset(),
    most: int | None = None,
) -> int:
    """Add lessons to a collection, and take tasks out of it; how many it has then."""
    without |= {lesson.task.name for lesson in lessons}
    datasets: list[Dataset] = []
    features: dict[str, dict[str, float]] = {}
    parts = []
    if (folder / CARD).exists():
        card, space, table, features = read_parts(folder)
        datasets = [d for d in card.datasets if d.name not in without]
        parts = [_of_tasks(table, [d.name for d in datasets])]
    assert space is not None
    datasets += [_dataset(lesson) for lesson in lessons]
    if not datasets:
        (folder / CARD).unlink()  # from here on it is no collection
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    datasets = datasets if most is None else datasets[-most:]
    names = [d.name for d in datasets]
    features |= {lesson.task.name: _meta_features(lesson.task) for lesson in lessons}
    parts.append(table_of(space, [_row(lesson, t, space) for lesson in lessons for t in lesson.task.done]))
    if not space.version:
        folder.mkdir(exist_ok=True)
        write_whole(folder / SPACE, space.to_toml())
    card = Card(folder.name, ABOUT, space.name, space.version, tuple(datasets))
    kept = {name: features[name] for name in names if features.get(name)}
    write_table(folder, card, _joined([_of_tasks(part, names) for part in parts]), kept)
    return len(names)


def _of_tasks(table: pa.Table, names: Sequence[str]) -> pa.Table:
    return table.filter(pc.is_in(table["task"].cast(pa.string()), pa.array(names, pa.string())))


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables one after the other, whose words are those of their rows only."""
    schema = tables[0].schema
    plain = pa.schema([pa.field(f.name, pa.string()) if pa.types.is_dictionary(f.type) else f for f in schema])
    return pa.concat_tables([table.cast(plain) for table in tables]).combine_chunks().cast(schema)


def _dataset(lesson: Lesson) -> Dataset:
    task = lesson.task
    sizes = {name: int(task.features.get(name, 0)) for name in BASIC[1:]}
    told = {name: value for name, value in _meta_features(task).items() if name in NAMES}
    return Dataset(
        name=task.name,
        # Searches on one table have the same meta-features, whatever their metric.
        family=f"table-{digest(repr(sorted(told.items())))}" if told else task.name,
        origin=task.name.partition("-")[0],
        kind=str(task.features.get("kind", "")),
        metric=lesson.metric,
        folds=lesson.folds,
        rows=sizes["rows"],
        recorded_rows=sizes["rows"],
        numbers=sizes["numbers"],
        categories=sizes["categories"],
        classes=sizes["classes"],
    )


def _meta_features(task: Task) -> dict[str, float]:
    return {name: float(value) for name, value in task.features.items() if name not in BASIC}


def _row(lesson: Lesson, trial: Trial, space: Space) -> dict[str, Any]:
    config = {name: float(value) if isinstance(space[name], Float) else value for name, value in trial.config.items()}
    nothing = dict.fromkeys(("test_loss", "fit_s", "predict_s", "peak_mb", "rounds"))
    loss = None if trial.state == "failed" else _known(trial.loss)
    return nothing | {
        "task": lesson.task.name,
        "config_id": f"config-{digest(repr(key(config)))}",  # the same on every task, so that tasks can be compared
        "origin": lesson.task.name.partition("-")[0],
        "config": config,
        "budget": trial.budget,
        "folds": len(trial.fold_losses),
        "fold_losses": [_known(loss) for loss in trial.fold_losses],
        "loss": loss,
        "cpu_s": _known(trial.seconds),
        "state": "failed" if loss is None else trial.state,
        "error": "",
        "machine": "",
        "curve": [_known(loss) for loss in trial.curve],
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep every other process that learns out of a folder; the kernel lets go of it however this one ends."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / LOCK).open("w", encoding="ascii") as handle:
            _wait_for(handle, folder)
            yield
    except OSError as error:
        raise RunError(f"what is learned is kept in {folder}, which cannot be written: {error.strerror}") from error


def _wait_for(handle: IO[str], folder: Path) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise RunError(f"another process is learning into {folder}; wait for it, or stop it") from None
            time.sleep(0.05)
        else:
            return
