"""`autometa record`: tables in, a collection of recorded tasks out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from autometa.errors import InputError
from autometa.policies.portfolio import hand_made
from autometa.records.own_files import SPACE
from autometa.records.prepared import Source
from autometa.records.recorder import Recorder, Settings
from autometa.space import Space
from autometa.tables.whole_files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
    recorder = Recorder(_sources(tables, index), loaded, hand_made(loaded), into, settings, say)
    if space.endswith(".toml") and Path(space).resolve() != (into / SPACE).resolve():
        write_whole(into / SPACE, Path(space).read_text(encoding="utf-8"))
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
