"""How a delimited text file is written: encoding, delimiter, decimal mark, header."""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import dataclass

from autometa.errors import InputError
from autometa.tables.findings import Finding, listed

# In the order that decides between equals.
_DELIMITERS = (",", ";", "\t", "|")
_ROWS_LOOKED_AT = 500
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
_DECIMAL_POINT = re.compile(r"\s*[+-]?\d+\.\d+\s*")


@dataclass(frozen=True)
class Dialect:
    """How a delimited text file is written.

    Attributes:
        encoding: a Python codec name.
        delimiter: one character.
        decimal: the decimal mark, "." or ",".
        names: the column names, one per field of a row.
        blank_lines: empty lines before the header.
        findings: what was unusual.
    """

    encoding: str
    delimiter: str
    decimal: str
    names: tuple[str, ...]
    blank_lines: int
    findings: tuple[Finding, ...]


def sniff(head: bytes, *, whole: bool, name: str) -> Dialect:
    """Find out how a file is written from its first bytes.

    Args:
        head: the first bytes of the file.
        whole: whether they are the whole file, so that the last line is complete.
        name: what messages call the file.

    Raises:
        InputError: it is not text, has no header, or its header repeats a name.
    """
    encoding = _encoding(head, name)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head, final=whole)
    if not whole:
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1] or text
    body = text.lstrip("\r\n")
    if not body.strip():
        raise InputError(f"a table must hold a header and rows; {name} holds only blank lines")
    blank_lines = len(text[: len(text) - len(body)].replace("\r\n", "\n"))
    delimiter, rows = max(((d, _rows(body, d)) for d in _DELIMITERS), key=lambda found: _agreement(found[1]))
    findings = []
    if delimiter != ",":
        shown = {"\t": "tab"}.get(delimiter, delimiter)
        findings.append(Finding("delimiter", f"{name} is read with the delimiter {shown!r}"))
    if encoding not in ("utf-8", "utf-8-sig"):
        findings.append(Finding("encoding", f"{name} is not UTF-8; it is read as {encoding}"))
    names, finding = _names(rows, name)
    if finding is not None:
        findings.append(finding)
    decimal = "," if delimiter != "," and _has_decimal_comma(rows[1:]) else "."
    if decimal == ",":
        findings.append(Finding("decimal-comma", f"{name} is read with the decimal mark ','"))
    return Dialect(encoding, delimiter, decimal, names, blank_lines, tuple(findings))


def _encoding(head: bytes, name: str) -> str:
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    pairs = max(1, len(head) // 2)
    # Latin text in UTF-16 has a zero byte in every pair, always on the same side.
    for side, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if head[side::2].count(0) > 0.4 * pairs and not head[1 - side :: 2].count(0):
            return encoding
    control = sum(head.count(byte) for byte in range(32) if byte not in b"\t\n\r\x0b\x0c\x1a")
    if head.count(0) or control > 0.02 * len(head):
        raise InputError(
            f"a table must be text, gzipped text or Parquet; {name} holds binary data: save it as CSV or Parquet"
        )
    for encoding in ("utf-8", "cp1252"):
        try:
            codecs.getincrementaldecoder(encoding)().decode(head)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def _rows(text: str, delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if row:
                rows.append(row)
            if len(rows) == _ROWS_LOOKED_AT:
                break
    except csv.Error:
        # A field beyond the module's limit: the rows before it say enough.
        pass
    return rows or [[text]]


def _agreement(rows: list[list[str]]) -> tuple[float, int]:
    """How well the rows fit the header: their share with as many fields, then how many."""
    width = len(rows[0])
    # R leaves out the name of the row names.
    fitting = max(sum(len(row) == w for row in rows[1:]) for w in (width, width + 1))
    if width == 1:
        return 0.0, 1
    return round(fitting / max(1, len(rows) - 1), 1), width


def _names(rows: list[list[str]], file: str) -> tuple[tuple[str, ...], Finding | None]:
    header = [name.strip().strip("\ufeff") for name in rows[0]]
    longer = all(len(row) == len(header) + 1 for row in rows[1:])
    if len(rows) > 1 and len(header) > 1 and longer:
        # Either a delimiter ends each row but the header, or R wrote row names.
        ends = not any(row[-1].strip() for row in rows[1:])
        header = [*header, ""] if ends else ["", *header]
    names = [name or f"Unnamed: {i}" for i, name in enumerate(header)]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        hint = "is the header missing?" if all(map(_is_number, names)) else "rename them"
        raise InputError(f"column names must be different; {file} repeats {listed(repeated)}: {hint}")
    if all(map(_is_number, names)) and names != [str(i) for i in range(len(names))]:
        return tuple(names), Finding(
            "numeric-header",
            f"the first row of {file} holds only numbers and was taken for the column names; "
            "if the file has no header, add one",
        )
    return tuple(names), None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _has_decimal_comma(rows: list[list[str]]) -> bool:
    fields = [field for row in rows for field in row]
    commas = sum(_DECIMAL_COMMA.fullmatch(field) is not None for field in fields)
    points = sum(_DECIMAL_POINT.fullmatch(field) is not None for field in fields)
    return commas > points
