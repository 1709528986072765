"""Reading recorded tasks, whichever layout they come in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from autometa.errors import ModelError
from autometa.records import own_files, public_tables

if TYPE_CHECKING:
    from autometa.records.collection import Collection


def read_collection(folder: str | Path) -> Collection:
    """Read one folder of recorded tasks: a collection of autometa, or a public table.

    Raises:
        ModelError: it is neither, or damaged.
    """
    path = Path(folder)
    if (path / own_files.CARD).exists():
        return own_files.read_own(path)
    if (path / public_tables.SPACE).exists():
        return public_tables.read_public(path)
    raise ModelError(
        f"a folder of recorded tasks holds {own_files.CARD} and {own_files.TRIALS}, or {public_tables.EVALUATIONS} and "
        f"{public_tables.SPACE}; {path} {'has neither' if path.is_dir() else 'is no folder'}"
    )


def read_collections(folder: str | Path) -> list[Collection]:
    """Read a folder of recorded tasks, or each of its subfolders that is one.

    Raises:
        ModelError: there is none, or one is damaged.
    """
    path = Path(folder)
    if (path / own_files.CARD).exists() or (path / public_tables.SPACE).exists() or not path.is_dir():
        return [read_collection(path)]
    inside = [p for p in sorted(path.iterdir()) if (p / own_files.CARD).exists() or (p / public_tables.SPACE).exists()]
    return [read_collection(p) for p in inside] or [read_collection(path)]
