"""`autometa record`: tables in, a collection of recorded tasks out."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pandas as pd

from autometa.errors import InputError
from autometa.policies.portfolio import hand_made
from autometa.records.own_files import SPACE
from autometa.records.prepared import Source
from autometa.records.recorder import Recorder, Settings
from autometa.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

TASKS = {"regression": "regression", "binary": "classification", "multiclass": "classification"}


def record(
    tables: Sequence[Path],
    into: Path,
    *,
    index: Path | None = None,
    space: str = "tabular",
    settings: Settings,
    say: Callable[[str], None],
) -> int:
    """Record tables into a collection; one that was stopped is gone on with.

    Args:
        tables: files, each a task of its file's name.
        into: folder of the collection.
        index: a CSV with a row per table: name, and task, family, split, origin and licence where known.
        space: of the configs.
        settings: what is recorded.
        say: is told what happens, a line at a time.

    Returns:
        How many evaluations there are.

    Raises:
        InputError: a table or an option cannot be used.
        RunError: another process is recording there.
    """
    if not tables:
        raise InputError("name at least one table to record")
    loaded = Space.load(space)
    if space.endswith(".toml"):
        into.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(space, into / SPACE)
    recorder = Recorder(_sources(tables, index), loaded, hand_made(loaded), into, settings, say)
    try:
        recorder.record()
    finally:
        recorder.write()
        recorder.close()
    return len(recorder.rows)


def _sources(tables: Sequence[Path], index: Path | None) -> list[Source]:
    cards = {} if index is None else pd.read_csv(index, dtype=str).fillna("").set_index("name").to_dict("index")
    sources = []
    for path in tables:
        if not path.is_file():
            raise InputError(f"a table to record must be a file; {path} is none")
        name = path.name.split(".")[0]
        card = cards.get(name)
        if index is not None and card is None:
            raise InputError(f"every table must have a row in {index}; {name} has none")
        card = card or {}
        sources.append(
            Source(
                name=name,
                path=path,
                task=TASKS.get(card.get("task", ""), "auto"),  # type: ignore[arg-type]
                family=card.get("family", ""),
                split=card.get("split", ""),
                origin=card.get("origin", ""),
                licence=card.get("licence", ""),
            )
        )
    return sources
