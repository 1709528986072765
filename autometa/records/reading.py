"""Reading recorded tasks, whichever layout they come in."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from autometa.errors import ModelError
from autometa.records import own_files, public_tables
from autometa.records.card import Card

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
    return [read_collection(p) for p in collection_folders(folder)]


def collection_folders(folder: str | Path) -> list[Path]:
    """A folder of recorded tasks, or those of its subfolders that are one; the folder itself where none is."""
    path = Path(folder)
    if _recorded(path) or not path.is_dir():
        return [path]
    return [p for p in sorted(path.iterdir()) if _recorded(p)] or [path]


def checksum(folder: Path) -> str:
    """Of what was recorded: the sha256 of a collection's trials, or of all files of a public table."""
    if (folder / own_files.CARD).exists():
        return Card.read(folder / own_files.CARD)[1]
    digest = hashlib.sha256()
    for name in (public_tables.EVALUATIONS, public_tables.CONFIGS, public_tables.SPACE):
        if (folder / name).exists():
            digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def _recorded(path: Path) -> bool:
    return (path / own_files.CARD).exists() or (path / public_tables.SPACE).exists()
