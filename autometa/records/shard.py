"""Where a recording grows: one JSON object per line, appended by one process and safe against a kill at any moment."""

from __future__ import annotations

import fcntl
import json
import os
from typing import IO, TYPE_CHECKING, Any

from autometa.errors import RunError
from autometa.tables.whole_files import cut_torn_tail

if TYPE_CHECKING:
    from pathlib import Path


class Shard:
    """The rows recorded so far, in the order in which they came.

    Args:
        path: the file; made if it is not there. Half a line at its end, of a writer that was killed, is cut off.

    Raises:
        RunError: another process writes to it, or a line before the last is damaged.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = path.open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise RunError(f"another process is recording into {path.parent}; wait for it, or stop it first") from error
        cut_torn_tail(path)
        try:
            self.rows: list[dict[str, Any]] = [json.loads(line) for line in path.read_bytes().splitlines()]
        except ValueError as error:
            self._file.close()
            raise RunError(f"{path} is damaged ({error}); take the lines before that one, or record anew") from error

    def append(self, row: dict[str, Any]) -> None:
        """Add a row; it is on the disk when this returns."""
        self._file.write(json.dumps(row).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.rows.append(row)

    def close(self) -> None:
        """Let others write."""
        self._file.close()
