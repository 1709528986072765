"""One column of new rows as features, by what it was at the fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from autometa.tables.columns import Column
from autometa.tables.levels import Levels, not_numbers, places
from autometa.tables.plain import as_levels, as_numbers, plain


def category_codes(column: Column, series: pd.Series) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Codes of a category column, -1 where missing or never seen; and what is to be said."""
    levels = as_levels(series)
    code_of = places(levels.values, pa.array(column.levels, pa.string()))
    unseen = ((code_of < 0) & (levels.counts > 0)).any()
    codes = np.asarray(levels.spread(code_of, -1), np.int32)
    return codes, ("unseen-levels",) if unseen else ()


def number_block(column: Column, series: pd.Series) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Numbers made of a column, shape (r, w), never infinite; and what is to be said."""
    values = plain(series)
    if values is None:
        width = len(column.number_names)
        return np.full((len(series), width), np.nan), ("not-a-number",)
    if column.topics is not None:
        return column.topics.encode(as_levels(series)), ()
    if column.dates is not None:
        moments = column.dates.read(values)
        missing = values.codes < 0 if isinstance(values, Levels) else pd.isna(values)
        problem = ("not-a-date",) if (np.isnat(moments) & ~missing).any() else ()
        return column.dates.encode(moments), problem
    problem = ()
    if isinstance(values, Levels) and not column.mixed and _holds_other_strings(values):
        problem = ("not-a-number",)
    numbers = as_numbers(values)
    infinite = np.isinf(numbers)
    if infinite.any():
        numbers = np.where(infinite, np.nan, numbers)
        problem = (*problem, "infinite")
    return numbers[:, None], problem


def _holds_other_strings(levels: Levels) -> bool:
    truth = pc.is_in(pc.utf8_lower(levels.values), pa.array(["true", "false"], pa.string()))
    odd = not_numbers(levels) & (levels.counts > 0)
    return bool((odd & ~truth.to_numpy(zero_copy_only=False)).any())
