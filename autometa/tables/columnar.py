"""A Parquet file to an Arrow table, whole or as a uniform sample of its rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from pyarrow import parquet

from autometa.errors import InputError
from autometa.tables.findings import Finding
from autometa.tables.sampling import sample_rows
from autometa.tables.sources import TableFile

_BATCH_ROWS = 1 << 16


class ParquetTable:
    """A Parquet file.

    Args:
        file: the file.

    Raises:
        InputError: its footer is damaged.
    """

    findings: tuple[Finding, ...] = ()

    def __init__(self, file: TableFile) -> None:
        self.file = file
        with self._explained():
            # Without buffering ahead, a batch needs no more than its own row group.
            self._parquet = parquet.ParquetFile(file.path, pre_buffer=False)

    def bytes_in_memory(self) -> tuple[float, float]:
        """About how many bytes the whole table takes in memory, and one row of it."""
        with self._explained():
            batch = next(self._parquet.iter_batches(batch_size=_BATCH_ROWS), None)
        rows = self._parquet.metadata.num_rows
        row = 0.0 if batch is None else batch.nbytes / max(1, batch.num_rows)
        return row * rows, row

    def read(self) -> pa.Table:
        """The whole table at once."""
        with self._explained():
            return self._parquet.read()

    def sample(self, *, keep: int | None, seed: int) -> tuple[pa.Table, int]:
        """A uniform sample of rows, or all, batch by batch; and how many rows the file has."""
        with self._explained():
            batches = self._parquet.iter_batches(batch_size=_BATCH_ROWS)
            return sample_rows(batches, keep=keep, seed=seed)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(
                f"a Parquet file must be whole; {self.file.name} cannot be read ({error}): write it again"
            ) from error
