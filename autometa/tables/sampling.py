"""A uniform sample of rows from a stream of batches that may not fit in memory."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

# How far the rows kept may outgrow the sample before they are cut back to it.
_SLACK = 1.25


def sample_rows(batches: Iterable[pa.RecordBatch], *, keep: int | None, seed: int) -> tuple[pa.Table, int]:
    """Draw rows evenly and without replacement from a stream of unknown length.

    Every row gets a random key, and the rows with the smallest keys are kept, in their order.

    Args:
        batches: record batches of one schema, at least one.
        keep: rows to keep at most; None for all.
        seed: of the keys.

    Returns:
        The rows kept, and how many there were.
    """
    rng = np.random.default_rng(seed)
    tables: list[pa.RecordBatch] = []
    keys: list[NDArray[np.float64]] = []
    bound = np.inf
    total = kept = 0
    for batch in batches:
        total += batch.num_rows
        key = rng.random(batch.num_rows)
        below = key < bound
        tables.append(batch if below.all() else batch.filter(pa.array(below)))
        keys.append(key[below])
        kept += len(keys[-1])
        if keep is not None and kept > _SLACK * keep:
            bound = _cut(tables, keys, keep)
            kept = sum(map(len, keys))
    if keep is not None and kept > keep:
        _cut(tables, keys, keep)
    return pa.Table.from_batches(tables), total


def _cut(tables: list[pa.RecordBatch], keys: list[NDArray[np.float64]], keep: int) -> float:
    """Keep the rows with the smallest keys, in place; give the first key that is left out."""
    bound = float(np.partition(np.concatenate(keys), keep)[keep])
    for i, key in enumerate(keys):
        below = key < bound
        # One by one, so that the old batch is freed before the next one is copied.
        tables[i] = tables[i].filter(pa.array(below))
        keys[i] = key[below]
    return bound
