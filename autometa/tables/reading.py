"""Reading a table from a file, standard input or a data frame, within a limit on memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa

from autometa.errors import InputError
from autometa.tables.columnar import ParquetTable
from autometa.tables.delimited import DelimitedText
from autometa.tables.findings import Finding, listed
from autometa.tables.sources import table_file

# A search holds the table as read, encoded, and in folds: what is read may take this share.
_SHARE_OF_MEMORY = 0.25
_SHARE_READ_AT_ONCE = 1 / 32
_FEWEST_SAMPLED_ROWS = 1000


@dataclass(frozen=True)
class RawTable:
    """A table as it was read.

    Attributes:
        frame: the rows kept; column names are different strings, the index counts from 0.
        source: what it was read from, for messages.
        rows_total: rows of the source.
        sampled: whether only some of them were kept.
        warnings: what was unusual about the source.
    """

    frame: pd.DataFrame
    source: str
    rows_total: int
    sampled: bool
    warnings: tuple[Finding, ...] = ()


class _Readable(Protocol):
    @property
    def findings(self) -> tuple[Finding, ...]: ...
    def bytes_in_memory(self) -> tuple[float, float]: ...
    def read(self) -> pa.Table: ...
    def sample(self, *, keep: int | None, seed: int) -> tuple[pa.Table, int]: ...


def read_table(source: str | Path | pd.DataFrame, *, memory_bytes: int | None = None, seed: int = 0) -> RawTable:
    """Read a table; where it would take too much memory, a uniform sample of its rows.

    Args:
        source: a path to a csv, tsv, txt (each possibly .gz) or parquet file, "-" for standard
            input, or a data frame.
        memory_bytes: memory granted to the whole search; a quarter of it is for the table.
        seed: of the sample.

    Raises:
        InputError: the source cannot be read as a table, or not even a sample of it fits.
    """
    if isinstance(source, pd.DataFrame):
        return _from_frame(source, memory_bytes, seed)
    if not isinstance(source, str | Path):
        raise InputError(
            f"a table must be a path, '-' or a pandas DataFrame; got {type(source).__name__}: "
            "convert it with pandas.DataFrame(...)"
        )
    with table_file(source) as file:
        name = file.name
        readable: _Readable = ParquetTable(file) if file.format == "parquet" else DelimitedText(file)
        size, row = (0.0, 0.0) if memory_bytes is None else readable.bytes_in_memory()
        if memory_bytes is None or size <= _SHARE_READ_AT_ONCE * memory_bytes:
            table = readable.read()
            total = table.num_rows
        else:
            keep = _rows_to_keep(size, row, memory_bytes, name)
            table, total = readable.sample(keep=keep, seed=seed)
        warnings = readable.findings
    if not total:
        raise InputError(f"a table must hold rows; {name} holds only a header: add rows")
    frame = _to_frame(table)
    return _raw_table(frame, name, total, memory_bytes, warnings)


def _from_frame(frame: pd.DataFrame, memory_bytes: int | None, seed: int) -> RawTable:
    total = len(frame)
    if not total or not frame.shape[1]:
        raise InputError(f"a table must hold rows and columns; the data frame is {frame.shape}")
    if memory_bytes is not None:
        size = float(frame.memory_usage(index=False, deep=True).sum())
        keep = _rows_to_keep(size, size / total, memory_bytes, "the data frame")
        if keep is not None:
            rows = np.random.default_rng(seed).choice(total, keep, replace=False)
            frame = frame.iloc[np.sort(rows)]
    return _raw_table(frame, "the data frame", total, memory_bytes, ())


def _rows_to_keep(size: float, row: float, memory_bytes: int, name: str) -> int | None:
    """How many rows fit into the table's share of the memory; None if all do."""
    granted = _SHARE_OF_MEMORY * memory_bytes
    if size <= granted:
        return None
    keep = int(granted / row)
    if keep < _FEWEST_SAMPLED_ROWS:
        raise InputError(
            f"at least {_FEWEST_SAMPLED_ROWS} rows must fit into a quarter of the memory; of "
            f"{name}, {keep} rows fit into a quarter of {memory_bytes / 1e9:.3g} GB: grant "
            "more memory, or drop columns"
        )
    return keep


def _to_frame(table: pa.Table) -> pd.DataFrame:
    for i, field in enumerate(table.schema):
        if pa.types.is_time(field.type):
            # pandas would make a Python object of each.
            table = table.set_column(i, field.name, table.column(i).cast(pa.string()))
    return table.unify_dictionaries().to_pandas(split_blocks=True, self_destruct=True, date_as_object=False)


def _raw_table(
    frame: pd.DataFrame,
    name: str,
    total: int,
    memory_bytes: int | None,
    warnings: tuple[Finding, ...],
) -> RawTable:
    names = [_column_name(column, i) for i, column in enumerate(frame.columns)]
    if repeated := sorted({n for n in names if names.count(n) > 1}):
        raise InputError(f"column names must be different; {name} repeats {listed(repeated)}: rename them")
    # Shares the data, so that the caller's own frame keeps its names and index.
    frame = frame.set_axis(names, axis=1).reset_index(drop=True)
    sampled = len(frame) < total
    if sampled and memory_bytes is not None:
        share = _SHARE_OF_MEMORY * memory_bytes / 1e9
        message = (
            f"{len(frame):,} of the {total:,} rows of {name} are used, drawn evenly: all of them "
            f"would take more than the {share:.3g} GB that a table may fill of the memory granted"
        )
        warnings = (*warnings, Finding("sampled", message))
    return RawTable(frame, name, total, sampled, warnings)


def _column_name(name: object, position: int) -> str:
    if isinstance(name, tuple):
        return ".".join(str(part) for part in name if str(part))
    text = str(name).strip()
    return text if text and text not in ("nan", "None", "NaN") else f"Unnamed: {position}"
