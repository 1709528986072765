"""Delimited text to an Arrow table, whole or as a uniform sample of its rows."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
from pyarrow import csv

from autometa.errors import InputError
from autometa.tables.dialects import sniff
from autometa.tables.findings import Finding
from autometa.tables.levels import MISSING, MISSING_NUMBER, levels_of_strings
from autometa.tables.sampling import sample_rows
from autometa.tables.sources import TableFile

_HEAD_BYTES = 1 << 20
_BLOCK_BYTES = 8 << 20
# More distinct strings than this in a block, and the column is kept as plain strings.
_DICTIONARY_LEVELS = 2000
# Read as missing in a column of numbers, dates or truth values. Columns of strings keep what
# they hold: "None" and "-" may be labels of the target.
_MISSING = [
    padding + written
    for word in (*MISSING, *MISSING_NUMBER)
    for written in {word, word.upper(), word.title(), word.replace("nan", "NaN"), word.replace("nat", "NaT")}
    for padding in ("", " ")
]
_CONVERSION = re.compile(r"In CSV column #(\d+): (?:Row #\d+: )?CSV conversion error to ([^:]+)")
_RAGGED = re.compile(r"Expected (\d+) columns, got (\d+)(?:: (.*))?", re.DOTALL)


class DelimitedText:
    """A delimited text file, possibly gzipped.

    Args:
        file: the file.

    Raises:
        InputError: it is not text, or its header is unusable.
    """

    def __init__(self, file: TableFile) -> None:
        self.file = file
        head, self._growth = _head(file)
        self.dialect = sniff(head, whole=len(head) < _HEAD_BYTES, name=file.name)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was unusual about how the file is written."""
        return self.dialect.findings

    def bytes_in_memory(self) -> tuple[float, float]:
        """About how many bytes the whole table takes in memory, and one row of it."""
        with _explained(self.file.name):
            batch = next(self._batches({}), None)
            if batch is None:
                return 0.0, 0.0
            consumed = min(_BLOCK_BYTES, self.file.size * self._growth)
        row = batch.nbytes / max(1, batch.num_rows)
        return batch.nbytes * max(1.0, self.file.size * self._growth / consumed), row

    def read(self) -> pa.Table:
        """The whole table at once: quicker, but it may take four times the memory on the way."""
        return self._in_some_encoding(self._whole)

    def sample(self, *, keep: int | None, seed: int) -> tuple[pa.Table, int]:
        """A uniform sample of rows, or all, batch by batch; and how many rows the file has."""
        return cast(
            "tuple[pa.Table, int]",
            self._in_some_encoding(lambda: self._sampled(keep=keep, seed=seed)),
        )

    def _in_some_encoding(self, read: Any) -> Any:
        """Read; where a byte beyond the head is not in the encoding of the head, read again."""
        for encoding in (self.dialect.encoding, "cp1252", "latin-1"):
            if encoding != self.dialect.encoding:
                self.dialect = replace(
                    self.dialect,
                    encoding=encoding,
                    findings=(
                        *(f for f in self.dialect.findings if f.code != "encoding"),
                        Finding(
                            "encoding",
                            f"{self.file.name} is not UTF-8 throughout; it is read as {encoding}",
                        ),
                    ),
                )
            try:
                with _explained(self.file.name):
                    return read()
            except UnicodeDecodeError:
                continue
        raise InputError(f"a table must be text in one encoding; {self.file.name} is not")

    def _whole(self) -> pa.Table:
        with self._open() as stream:
            table = csv.read_csv(
                stream,
                read_options=self._read_options(),
                parse_options=self._parse_options(),
                convert_options=self._convert_options({}, dictionaries=True),
            )
        _check_text(table.schema)
        self._check_quotes(table)
        return _without_number_dictionaries(table)

    def _check_quotes(self, table: pa.Table) -> None:
        """A quote that is never closed takes the rest of the file into the last field."""
        last = table.column(table.num_columns - 1)
        value = last[-1].as_py() if len(last) else None
        if not isinstance(value, str):
            return
        delimiters = len(self.dialect.names) - 1
        inner = value.splitlines()[1:]
        if inner and all(line.count(self.dialect.delimiter) == delimiters for line in inner):
            raise InputError(
                f"every quote must be closed; in {self.file.name} the one before {value[:40]!r} is not: close it"
            )

    def _sampled(self, *, keep: int | None, seed: int) -> tuple[pa.Table, int]:
        types: dict[str, pa.DataType] = {}
        while True:
            try:
                return sample_rows(self._batches(types), keep=keep, seed=seed)
            except pa.ArrowInvalid as error:
                # Types are guessed from the first block; a later one may need a wider type.
                found = _CONVERSION.search(str(error))
                if found is None or found[2] == "string":
                    raise
                integer = found[2].startswith("int")
                types[self.dialect.names[int(found[1])]] = pa.float64() if integer else pa.string()

    def _batches(self, types: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        with self._open() as stream:
            reader = csv.open_csv(
                stream,
                read_options=self._read_options(),
                parse_options=self._parse_options(),
                convert_options=self._convert_options(types, dictionaries=False),
            )
            for field in reader.schema:
                if field.name not in types and pa.types.is_null(field.type):
                    # Nothing is known of a column whose first block is empty.
                    types[field.name] = pa.string()
            if any(types.get(f.name, f.type) != f.type for f in reader.schema):
                reader.close()
                yield from self._batches(types)
                return
            _check_text(reader.schema)
            yield from reader

    def _open(self) -> Any:
        compression = "gzip" if self.file.format == "gzip" else None
        return pa.input_stream(str(self.file.path), compression=compression)

    def _read_options(self) -> csv.ReadOptions:
        utf8 = self.dialect.encoding.startswith("utf-8")
        return csv.ReadOptions(
            block_size=_BLOCK_BYTES,
            column_names=list(self.dialect.names),
            skip_rows=self.dialect.blank_lines,
            skip_rows_after_names=1,
            encoding="utf8" if utf8 else self.dialect.encoding,
        )

    def _parse_options(self) -> csv.ParseOptions:
        return csv.ParseOptions(delimiter=self.dialect.delimiter, newlines_in_values=True)

    def _convert_options(self, types: dict[str, pa.DataType], *, dictionaries: bool) -> csv.ConvertOptions:
        return csv.ConvertOptions(
            column_types=types,
            null_values=_MISSING,
            strings_can_be_null=False,
            decimal_point=self.dialect.decimal,
            auto_dict_encode=dictionaries,
            auto_dict_max_cardinality=_DICTIONARY_LEVELS,
        )


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what Arrow says of a file into what a user can do about it."""
    try:
        yield
    except pa.ArrowInvalid as error:
        if "invalid UTF8" in str(error):
            raise UnicodeDecodeError("utf-8", b"", 0, 1, str(error)) from error
        if ragged := _RAGGED.search(str(error)):
            expected, got, row = ragged.groups()
            shown = "" if row is None else f" in the row {row[:80]!r}"
            raise InputError(
                f"every row must have as many fields as the header ({expected}); {name} has "
                f"{got}{shown}: mend that row, or quote its delimiters"
            ) from error
        raise InputError(
            f"a table must be readable as CSV; {name} is not ({error}): look for a quote that is never closed"
        ) from error
    except OSError as error:
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> InputError:
    return InputError(f"a table must be readable to its end; {name} is damaged ({error}): copy or compress it again")


def _check_text(schema: pa.Schema) -> None:
    """Arrow leaves a column as bytes where some value is not in the encoding."""
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_binary(kind):
            raise UnicodeDecodeError("utf-8", b"", 0, 1, f"in column {field.name!r}")


def _without_number_dictionaries(table: pa.Table) -> pa.Table:
    """Read what is numbers but for odd words for missing as numbers: nobody declared it categories."""
    for i, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            column = table.column(i).unify_dictionaries().combine_chunks()
            levels = levels_of_strings(column.dictionary, column.indices.to_numpy(), declared=True)
            if levels.are_codes:
                table = table.set_column(i, field.name, pa.array(levels.spread(levels.numbers, np.nan)))
    return table


def _head(file: TableFile) -> tuple[bytes, float]:
    """The first bytes of the text, and how many bytes of text a byte of the file makes."""
    with cast("BinaryIO", file.path.open("rb")) as stream:
        raw = stream.read(_HEAD_BYTES)
    if file.format != "gzip":
        return raw, 1.0
    try:
        inflate = zlib.decompressobj(wbits=31)
        text = inflate.decompress(raw, 8 * _HEAD_BYTES)
    except zlib.error as error:
        raise _damaged(file.name, error) from error
    if not text:
        raise InputError(f"a table must hold a header and rows; {file.name} is empty")
    return text[:_HEAD_BYTES], len(text) / (len(raw) - len(inflate.unconsumed_tail))
