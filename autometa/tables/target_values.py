"""A target column as it was read: numbers or labels."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from autometa.errors import InputError
from autometa.tables.levels import Levels
from autometa.tables.plain import as_levels, as_numbers, plain

Label: TypeAlias = str | int | float | bool

# In a target, "none" is more often an answer than a gap.
MISSING_TARGET = ("", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "nat", "null", "?")


def target_values(series: pd.Series, *, parse: bool = True) -> NDArray[np.float64] | Levels:
    """A target as numbers, or as strings if it holds labels.

    Truth values and declared categories are labels.

    Args:
        series: r rows.
        parse: whether strings that are all numbers become numbers.

    Raises:
        InputError: the column holds dates, lists or bytes.
    """
    values = plain(series, missing=MISSING_TARGET)
    if values is None or (not isinstance(values, Levels) and np.issubdtype(values.dtype, np.datetime64)):
        what = "lists, structures or bytes" if values is None else "dates"
        raise InputError(
            f"a target must hold numbers or labels; {str(series.name)!r} holds {what}: turn them "
            "into numbers (such as days since a fixed date) or labels"
        )
    if isinstance(values, Levels):
        found = values if (values.counts > 0).all() else _without_unused(values)
        if not parse or found.are_codes or np.isnan(found.numbers).any() or not len(found.values):
            return found
        return as_numbers(found)
    if is_truth(series):
        return as_levels(series)
    return np.asarray(values, np.float64)


def is_truth(series: pd.Series) -> bool:
    """Whether a column holds truth values."""
    if pd.api.types.is_bool_dtype(series.dtype):
        return True
    return bool(pd.api.types.infer_dtype(series, skipna=True) == "boolean")


def labels_of(series: pd.Series) -> tuple[tuple[Label, ...], int]:
    """The distinct labels of a target in order, in their own type; and the rows that have one."""
    values = target_values(series, parse=False)
    if not isinstance(values, Levels):
        finite = values[np.isfinite(values)]
        distinct = np.unique(finite)
        whole = (distinct == np.rint(distinct)).all()
        return tuple((distinct.astype(np.int64) if whole else distinct).tolist()), len(finite)
    names = values.values.to_pylist()
    rows = int(values.counts.sum())
    kind = series.dtype
    is_ordered = isinstance(kind, pd.CategoricalDtype) and kind.ordered
    if isinstance(kind, pd.CategoricalDtype):
        kind = kind.categories.dtype
    if not is_ordered and not np.isnan(values.numbers).any():
        names = [names[i] for i in np.argsort(values.numbers, kind="stable")]
    elif not is_ordered:
        names = sorted(names)
    if is_truth(series) or pd.api.types.is_bool_dtype(kind):
        return tuple(name == "True" for name in names), rows
    if pd.api.types.is_integer_dtype(kind):
        return tuple(int(name) for name in names), rows
    if pd.api.types.is_float_dtype(kind):
        return tuple(float(name) for name in names), rows
    return tuple(names), rows


def _without_unused(levels: Levels) -> Levels:
    used = levels.counts > 0
    renamed = np.append(np.cumsum(used) - 1, -1).astype(np.int32)
    return Levels(renamed[levels.codes], levels.values.filter(pa.array(used)), levels.declared)
