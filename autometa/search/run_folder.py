"""The run folder: where things are, atomic writes, and the lock that keeps a second writer out.

```
run.json          settings, schema, versions, seed: written before the first trial; on a cluster, the nodes at work
journal.log       Optuna's journal: every trial
leaderboard.csv   one row per trial
metrics.json      the scores so far
model/            the best model so far; always complete
report.html       for people; report.json holds the figures in it
work/             table, folds, fold models and predictions; removed when the search is over
```
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from typing import IO, TYPE_CHECKING, Any

from autometa.errors import RunError
from autometa.tables.whole_files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
LOCK, WORK = ".lock", "work"
GONE = ".work"  # what work/ is called while it is being removed
UNBEGUN = {LOCK, WORK, GONE, "run.json.tmp"}  # all that there is before run.json


class RunFolder:
    """Paths of one run and the writes that never leave half a file behind.

    Args:
        path: the folder; :meth:`create` makes it, :meth:`open` expects it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run = path / "run.json"
        self.journal = path / "journal.log"
        self.leaderboard = path / "leaderboard.csv"
        self.metrics = path / "metrics.json"
        self.model = path / "model"
        self.report = path / "report.html"
        self.evidence = path / "report.json"
        self.work = path / WORK
        self._lock: IO[str] | None = None
        self._made: list[Path] = []  # folders that create made, the innermost first

    @classmethod
    def create(cls, path: Path) -> RunFolder:
        """Make a new, locked run folder. What a search left that was killed while it read its table counts as nothing.

        Raises:
            RunError: the path exists and is not an empty folder, or cannot be written.
        """
        _check_free(path)
        folder = cls(path)
        folder._made = [p for p in (path, *path.parents) if not p.exists()]
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"the run folder {path} cannot be made: {error.strerror}") from error
        folder.lock()
        try:
            _check_free(path)  # another search may have been quicker
        except RunError:
            folder.unlock()
            raise
        folder.drop_work()
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """An existing run folder.

        Raises:
            RunError: it is not a run folder, or one of a newer version.
        """
        folder = cls(path)
        if not folder.run.is_file():
            raise RunError(f"a run folder holds a run.json; {path} has none. Was the search started at all?")
        version = folder.read_run().get("format")
        if not isinstance(version, int) or version > FORMAT:
            raise RunError(
                f"this autometa reads run folders up to format {FORMAT}; {path} has format {version}. "
                f"Use the version of autometa that wrote it, or a newer one"
            )
        return folder

    def read_run(self) -> dict[str, Any]:
        """What run.json says.

        Raises:
            RunError: the file is damaged.
        """
        return self.read_json(self.run)

    def read_json(self, path: Path) -> dict[str, Any]:
        """One JSON object of the run folder.

        Raises:
            RunError: the file is missing or damaged.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{path} cannot be read: {error}") from error
        if not isinstance(content, dict):
            raise RunError(f"{path} must hold one JSON object; start the search anew")
        return content

    def write_run(self, content: dict[str, Any]) -> None:
        """Write run.json."""
        self.write_json(self.run, {"format": FORMAT, **content})

    def lock(self) -> None:
        """Take the folder for this process; the kernel frees it however the process ends.

        Raises:
            RunError: another process is at work in the folder.
        """
        path = self.path / LOCK
        # A killed run's last breath may still hold the lock for a moment.
        for _ in range(20):
            handle = path.open("w", encoding="ascii")
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The one who held it removed the file: a third process may hold the next one.
                if path.exists() and path.stat().st_ino == os.fstat(handle.fileno()).st_ino:
                    shutil.rmtree(self.path / GONE, ignore_errors=True)
                    self._lock = handle
                    return
            except BlockingIOError:
                time.sleep(0.1)
            handle.close()
        raise RunError(f"another search is writing to {self.path}; wait for it, or stop it first")

    def unlock(self) -> None:
        """Let go of the folder."""
        if self._lock is not None:
            (self.path / LOCK).unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def discard(self) -> None:
        """Undo :meth:`create` for a search that never began."""
        self.unlock()
        self.drop_work()
        for name in UNBEGUN - {WORK, GONE}:
            (self.path / name).unlink(missing_ok=True)
        for made in self._made:
            with contextlib.suppress(OSError):  # someone else has put something there
                made.rmdir()

    def write_json(self, path: Path, content: dict[str, Any]) -> None:
        """Write a JSON file, atomically."""
        write_whole(path, json.dumps(content, indent=1) + "\n")

    def trial(self, number: int) -> Path:
        """Where the fold models and predictions of a trial are while the search runs."""
        return trial_folder(self.work, number)

    def drop_trial(self, number: int) -> None:
        """Remove a trial's models and predictions, so that it is never seen with some of them."""
        gone = self.work / f"gone-{number}"
        with contextlib.suppress(FileNotFoundError):
            self.trial(number).replace(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def drop_work(self) -> None:
        """Remove what only a running search needs, in one step: a run without it is complete."""
        gone = self.path / GONE
        shutil.rmtree(gone, ignore_errors=True)
        if self.work.exists():
            self.work.replace(gone)
            shutil.rmtree(gone, ignore_errors=True)


def trial_folder(work: Path, number: int) -> Path:
    """Where the fits of a trial leave their files."""
    return work / "trials" / f"{number:05d}"


def _check_free(path: Path) -> None:
    if path.exists() and (not path.is_dir() or not {p.name for p in path.iterdir()} <= UNBEGUN):
        raise RunError(
            f"a search needs a new or empty folder for its results; {path} is neither. "
            f"Give another --out, or go on with it: autometa resume {path}"
        )
