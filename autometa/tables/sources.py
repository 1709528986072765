"""Where a table comes from: a path or standard input, and what kind of file it is."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autometa.errors import InputError
from autometa.tables.findings import nearest

Format = Literal["delimited", "gzip", "parquet"]

_DELIMITED = (".csv", ".tsv", ".txt")
ENDINGS = (*_DELIMITED, *(f"{ending}.gz" for ending in _DELIMITED), ".parquet", ".pq")


@dataclass(frozen=True)
class TableFile:
    """A readable, non-empty local file.

    Attributes:
        path: where it lies.
        name: what messages call it.
        format: what its first bytes say it is; "gzip" is compressed delimited text.
    """

    path: Path
    name: str
    format: Format

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self.path.stat().st_size


@contextmanager
def table_file(source: str | Path) -> Iterator[TableFile]:
    """The file that a source names; standard input ("-") is spooled to a temporary one.

    Raises:
        InputError: it is absent, empty, a folder, or no kind of file that is read here.
    """
    if str(source) == "-":
        with tempfile.TemporaryDirectory(prefix="autometa-") as folder:
            path = Path(folder) / "stdin"
            with path.open("wb") as copy:
                shutil.copyfileobj(sys.stdin.buffer, copy, 1 << 20)
            yield _checked(path, "standard input")
        return
    path = Path(source).expanduser()
    if path.is_dir():
        raise InputError(f"a table must be a file; {str(path)!r} is a folder: name a file in it")
    if not path.exists():
        raise InputError(f"a table must exist; there is no file {str(path)!r}: {_beside(path)}")
    if not path.name.lower().endswith(ENDINGS):
        raise InputError(
            f"a table must be a file ending in {', '.join(ENDINGS)}; got {path.name!r}: save it as CSV or Parquet"
        )
    yield _checked(path, str(path))


def _checked(path: Path, name: str) -> TableFile:
    with path.open("rb") as file:
        start = file.read(4)
    if not start:
        raise InputError(f"a table must hold a header and rows; {name} is empty")
    ending = path.suffix.lower()
    if start == b"PAR1":
        return TableFile(path, name, "parquet")
    if ending in (".parquet", ".pq"):
        raise InputError(
            f"a Parquet file starts with the bytes PAR1; {name} does not: write it again, "
            "or give it the ending .csv if it is text"
        )
    if start.startswith(b"\x1f\x8b"):
        return TableFile(path, name, "gzip")
    if ending == ".gz":
        raise InputError(
            f"a .gz file starts with the gzip mark; {name} does not: compress it again, "
            "or drop the ending .gz if it is plain text"
        )
    return TableFile(path, name, "delimited")


def _beside(path: Path) -> str:
    """What stands where the file was looked for."""
    folder = path.parent
    if not folder.is_dir():
        return f"the folder {str(folder)!r} does not exist either"
    names = sorted(p.name for p in folder.iterdir() if p.name.lower().endswith(ENDINGS))
    return f"of the tables in that folder, {nearest(path.name, names)}"
