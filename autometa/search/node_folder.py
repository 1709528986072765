"""A folder on a node that all workers of one run there share: the table stands once on the disk and in memory."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

PREFIX = "autometa-node-"


class NodeFolder:
    """Holds the folder as long as this process lives.

    Each worker holds a lock that the kernel frees however the worker ends. The last one to leave removes
    the folder; one that was killed leaves that to the next search that comes to the node.

    Args:
        name: of run and node.
    """

    def __init__(self, name: str) -> None:
        temporary = Path(tempfile.gettempdir())
        for other in temporary.glob(f"{PREFIX}*"):
            _remove_unheld(other)
        self.path = temporary / f"{PREFIX}{name}"
        self.work = self.path / "work"
        self._lock = self._hold()

    def fill(self, write: Callable[[Path], None]) -> None:
        """Have the work folder made, unless another worker has done so."""
        if self.work.exists():
            return
        beside = self.path / f"new-{os.getpid()}"
        beside.mkdir(exist_ok=True)
        write(beside)
        try:
            beside.rename(self.work)
        except OSError:  # another worker was quicker
            shutil.rmtree(beside)

    def leave(self) -> None:
        """Let go of the folder, and remove it after everybody else has."""
        self._lock.close()
        _remove_unheld(self.path)

    def _hold(self) -> IO[str]:
        path = self.path / "lock"
        while True:
            with contextlib.suppress(OSError):  # the last one left at this moment, and has removed it
                self.path.mkdir(mode=0o700, exist_ok=True)
                handle = path.open("w", encoding="ascii")
                fcntl.flock(handle, fcntl.LOCK_SH)
                if path.exists() and path.stat().st_ino == os.fstat(handle.fileno()).st_ino:
                    return handle
                handle.close()


def _remove_unheld(folder: Path) -> None:
    try:
        handle = (folder / "lock").open("r+", encoding="ascii")
    except OSError:  # somebody else's, or gone
        return
    with handle, contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
