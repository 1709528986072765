"""A copy of a run folder at an address that fsspec knows, such as ``s3://bucket/run``, kept while the search goes on.

The search works in a folder of this machine, where it can lock and rename; a thread sends what is new every few
seconds. ``copy.json`` is sent last and names every file of the copy, so whoever reads it finds a run that can be gone
on with: files that name others (``model.json``, scores, the journal) are read before all others are listed, and sent
after them; what is gone here is removed there at the very end. It also says who writes and when it was last heard of.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Self

from autometa.errors import InputError, MissingExtraError, RunError
from autometa.search.run_folder import GONE as GONE_WORK
from autometa.search.run_folder import LOCK
from autometa.tables.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from autometa.search.status import Watcher

MANIFEST = "copy.json"
PERIOD = 5.0  # seconds between two sendings
SILENCE = 60.0  # seconds without a sign after which a writer counts as gone
ATTEMPTS = 3  # at a copy of a folder that changes meanwhile
UNFINISHED = ("new-", "gone-")  # how files begin that are being written or removed
UNKNOWN = (-1, -1)
Files = dict[str, tuple[int, int]]  # size and time of change by relative path


def is_address(place: str | Path) -> bool:
    """Whether a place is an address such as s3://bucket/run, not a path."""
    return "://" in str(place)


class RemoteCopy:
    """The copy of one run folder, sent while the block lasts, and whole when it ends.

    Args:
        address: where; None for no copy at all.
        path: the run folder.
        watcher: is warned when the copy falls behind.

    Raises:
        InputError: there is no such kind of address.
        MissingExtraError: the package that knows it is not installed.
    """

    def __init__(self, address: str | None, path: Path, watcher: Watcher) -> None:
        self._place = None if address is None else _Place(address)
        self._path, self._watcher = path, watcher
        self._sent: Files = {}
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self.seconds = 0.0  # that the longest sending took after the first, which holds the table

    def __enter__(self) -> Self:
        """Begin to send.

        Raises:
            RunError: a search elsewhere has gone on with the copy.
        """
        if self._place is not None:
            self._place.check_silent()
            here, there = _listed(self._path), self._place.sizes()  # of an earlier part of the run
            self._sent = {n: here[n] if n in here and here[n][0] == size else UNKNOWN for n, size in there.items()}
            self._watcher.say(f"a copy of {self._path} is kept at {self._place.address}")
            self._thread = threading.Thread(target=self._keep_sending, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Send what is left.

        Raises:
            RunError: the address cannot be written; the run folder is whole.
        """
        if self._place is None or self._thread is None:
            return
        self._over.set()
        self._thread.join()
        try:
            self._send(self._place, writing=False)
        except Exception as failure:
            if error is not None:  # it is what has to be heard
                self._watcher.warn(Finding("copy-behind", f"the copy at {self._place.address} is behind: {failure}"))
                return
            raise RunError(
                f"what was found is whole in {self._path}, but its copy at {self._place.address} is not: {failure}. "
                f"Copy the folder there once the address can be written"
            ) from failure

    def _keep_sending(self) -> None:
        assert self._place is not None
        behind = first = True
        while True:
            began = time.monotonic()
            try:
                self._send(self._place, writing=True)
                behind = False
            except Exception as error:  # noqa: BLE001 (whatever an address fails with, the search goes on)
                if not behind or first:
                    self._watcher.warn(Finding("copy-behind", f"the copy at {self._place.address} is behind: {error}"))
                behind = True
            if not first:
                self.seconds = max(self.seconds, time.monotonic() - began)
            first = False
            if self._over.wait(PERIOD):
                return

    def _send(self, place: _Place, *, writing: bool) -> None:
        """Bring the copy to the state of now."""
        for _ in range(ATTEMPTS):
            naming = _read_all(self._path, _naming_files(self._path))
            files = _listed(self._path)
            news = [name for name, state in files.items() if name not in naming and self._sent.get(name) != state]
            whole = place.put(self._path, news)
            self._sent |= {name: files[name] for name in news}
            if whole and naming.get("model/model.json") == _read(self._path / "model" / "model.json"):
                break
        bulk = {name: size for name, (size, _) in files.items() if name not in naming}
        place.pipe(naming)
        place.name(bulk | {name: len(content) for name, content in naming.items()}, writing=writing)
        gone = self._sent.keys() - bulk.keys() - naming.keys()
        place.remove(sorted(gone))
        for name in gone:
            del self._sent[name]
        self._sent |= dict.fromkeys(naming, UNKNOWN)


def claim(address: str) -> None:
    """See to it that a new run may be kept at an address.

    Raises:
        InputError: there is no such kind of address, or it cannot be read.
        RunError: something is there already.
    """
    place = _Place(address)
    if place.there():
        raise RunError(
            f"a search needs a new or empty address for its copy; {address} is neither. "
            f"Give another --out, or go on with it: autometa resume {address}"
        )


def fetch(address: str, path: Path, *, to_read: bool = False) -> None:
    """Bring a copy to a new folder of this machine.

    Args:
        address: of the copy.
        path: the folder, which is made.
        to_read: whether only the model and the files for people are wanted, while a search may go on.

    Raises:
        InputError: there is no such kind of address, or it cannot be read.
        RunError: there is no run, or a search is still writing to it.
    """
    place = _Place(address)
    names = place.sizes()
    if not names:
        raise RunError(f"the copy of a run holds a {MANIFEST}; {address} has none. Was the search started at all?")
    if not to_read:
        place.check_silent()
    wanted = [n for n in names if not (to_read and PurePosixPath(n).parts[0] == "work")]
    path.mkdir(parents=True)
    place.get(wanted, path)


class _Place:
    """An address and the file system behind it."""

    def __init__(self, address: str) -> None:
        import fsspec

        self.address = address
        try:
            self._fs, self._root = fsspec.core.url_to_fs(address)
        except ImportError as error:
            kind = address.partition("://")[0]
            raise MissingExtraError(f"an address of {kind}:// needs a package of its own: {error}") from error
        except ValueError as error:
            raise InputError(f"an address must be of a kind that fsspec knows, such as s3://; {error}") from error
        self._made: set[str] = set()

    def _at(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def there(self) -> bool:
        """Whether there is anything."""
        with self._told("read"):
            self._fs.invalidate_cache()
            return bool(self._fs.exists(self._root)) and bool(self._fs.find(self._root))

    def manifest(self) -> dict[str, Any]:
        """What copy.json says; nothing where there is none."""
        with self._told("read"):
            self._fs.invalidate_cache()
            try:
                content = json.loads(self._fs.cat_file(self._at(MANIFEST)))
            except FileNotFoundError:
                return {}
        if not isinstance(content, dict) or not isinstance(content.get("files"), dict):
            raise RunError(f"{self._at(MANIFEST)} must name the files of a run; it is damaged")
        return content

    def sizes(self) -> dict[str, int]:
        """The files that make up the copy, by relative path.

        Raises:
            RunError: one of them lies outside.
        """
        files: dict[str, int] = self.manifest().get("files", {})
        for name in files:
            parts = PurePosixPath(name).parts
            if not parts or name.startswith("/") or ".." in parts or "\\" in name:
                raise RunError(f"files of a copy lie below its address; {self._at(MANIFEST)} names {name!r}")
        return files

    def check_silent(self) -> None:
        """Refuse where a search is still at work.

        Raises:
            RunError: it is.
        """
        writer = self.manifest().get("writer")
        if not writer or time.time() - writer["at"] > SILENCE:
            return
        if writer["host"] == socket.gethostname() and not _alive(writer["pid"]):
            return
        raise RunError(
            f"a search on {writer['host']} wrote to {self.address} {time.time() - writer['at']:.0f} s ago. Stop it "
            f"first; if it was killed, wait until nothing was heard of it for {SILENCE:.0f} s"
        )

    def put(self, path: Path, names: list[str]) -> bool:
        """Send files as they are; whether all were still there."""
        there = [name for name in names if (path / name).is_file()]
        self._make_parents(there)
        try:
            if there:
                self._fs.put([str(path / name) for name in there], [self._at(name) for name in there])
        except FileNotFoundError:
            if all((path / name).is_file() for name in there):
                raise
            return False
        return len(there) == len(names)

    def pipe(self, contents: dict[str, bytes]) -> None:
        """Send files by their content, one after another: those that name others come last."""
        self._make_parents(list(contents))
        for name, content in contents.items():
            self._fs.pipe_file(self._at(name), content)

    def name(self, files: dict[str, int], *, writing: bool) -> None:
        """Say which files make up the copy, and that they are all there."""
        writer = {"host": socket.gethostname(), "pid": os.getpid(), "at": time.time()} if writing else None
        content = {"format": 1, "writer": writer, "files": dict(sorted(files.items()))}
        self.pipe({MANIFEST: json.dumps(content).encode()})

    def remove(self, names: list[str]) -> None:
        """Remove files; those that are gone already do not matter."""
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(self._at(name))

    def get(self, names: list[str], path: Path) -> None:
        """Fetch files into a folder."""
        for parent in {(path / name).parent for name in names}:
            parent.mkdir(parents=True, exist_ok=True)
        with self._told("read"):
            self._fs.get([self._at(name) for name in names], [str(path / name) for name in names])

    def _make_parents(self, names: list[str]) -> None:
        for parent in sorted({self._at(name).rpartition("/")[0] for name in names} - self._made):
            self._fs.makedirs(parent, exist_ok=True)
            self._made.add(parent)

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except RunError:
            raise
        except Exception as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"the address of a run must be one that can be {what}; {self.address}: {text}") from error


def _naming_files(path: Path) -> list[Path]:
    """Files that name or presuppose others, in the order in which they are sent; all are small."""
    scores = sorted((path / "work" / "trials").glob("*/fold_*.json"))
    top = sorted(p for p in path.iterdir() if p.is_file() and _finished(p.name))
    return [*scores, path / "model" / "model.json", *top]


def _listed(path: Path) -> Files:
    """All files of a run folder with their states; those that vanish meanwhile are left out."""
    found: Files = {}
    for folder, below, names in os.walk(path):
        below[:] = [b for b in below if _finished(b)]
        for name in names:
            if _finished(name):
                with contextlib.suppress(FileNotFoundError):
                    whole = Path(folder, name)
                    state = whole.stat()
                    found[whole.relative_to(path).as_posix()] = (state.st_size, state.st_mtime_ns)
    return found


def _finished(name: str) -> bool:
    return name not in (LOCK, GONE_WORK) and not name.endswith(".tmp") and not name.startswith(UNFINISHED)


def _read_all(path: Path, files: list[Path]) -> dict[str, bytes]:
    """Contents in the order given, which are read in the opposite one: who names is older than who is named."""
    contents = [(file, _read(file)) for file in reversed(files)]
    return {file.relative_to(path).as_posix(): content for file, content in reversed(contents) if content is not None}


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _alive(pid: int) -> bool:
    import psutil

    return bool(psutil.pid_exists(pid))
