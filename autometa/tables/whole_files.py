"""Text files that a reader sees as they were or as they will be, never in part, and files of whole lines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file beside its place, bring it to the disk, and put it there in one step."""
    beside = path.with_name(path.name + ".tmp")
    with beside.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    beside.replace(path)


def cut_torn_tail(path: Path) -> None:
    """Cut a file back to its last newline; what follows is half a line of a killed writer."""
    if not path.exists():
        return
    with path.open("rb+") as handle:
        content = handle.read()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            handle.truncate(end)
