"""Any pandas column as one of few plain forms, whatever its dtype."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pandas.api import types

from autometa.tables.levels import MISSING, Levels, label, levels_of_strings

# float64 numbers (NaN missing), datetime64[us] moments in UTC (NaT missing), strings, or None for
# a column of lists, structures or bytes, of which nothing can be made.
Plain: TypeAlias = NDArray[np.float64] | NDArray[np.datetime64] | Levels | None


def plain(series: pd.Series, *, missing: tuple[str, ...] = MISSING) -> Plain:
    """The plain form of a column.

    Args:
        series: r rows of any dtype.
        missing: lower-case words that stand for no value in a column of strings.
    """
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _of_categories(series, missing)
    if isinstance(dtype, pd.ArrowDtype):
        return _of_arrow(series, missing)
    if types.is_bool_dtype(dtype) or types.is_numeric_dtype(dtype):
        return None if types.is_complex_dtype(dtype) else _numbers(series)
    if isinstance(dtype, pd.PeriodDtype):
        series = series.dt.to_timestamp()
    if types.is_datetime64_any_dtype(series.dtype):
        return _moments(series)
    if types.is_timedelta64_dtype(dtype):
        return _numbers(series.dt.total_seconds())
    if isinstance(dtype, pd.StringDtype):
        return levels_of_strings(_strings(series), missing=missing)
    # Periods, intervals and whatever else comes as Python objects.
    return _of_objects(series.astype(object), missing)


def _of_categories(series: pd.Series, missing: tuple[str, ...]) -> Levels:
    names = pa.array(map(label, series.cat.categories), pa.string())
    return levels_of_strings(names, series.cat.codes.to_numpy(), missing=missing, declared=True)


def _of_arrow(series: pd.Series, missing: tuple[str, ...]) -> Plain:
    kind: pa.DataType = series.dtype.pyarrow_dtype
    if pa.types.is_dictionary(kind):
        return plain(series.astype("category"), missing=missing)
    if pa.types.is_null(kind):
        return np.full(len(series), np.nan)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return _moments(pd.to_datetime(series.astype(object), utc=True, errors="coerce"))
    if pa.types.is_duration(kind):
        return plain(series.astype("timedelta64[us]"), missing=missing)
    if pa.types.is_boolean(kind) or types.is_numeric_dtype(series.dtype):
        return _numbers(series)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_time(kind):
        return levels_of_strings(_strings(series), missing=missing)
    return None


def _of_objects(series: pd.Series, missing: tuple[str, ...]) -> Plain:
    found = types.infer_dtype(series, skipna=True)
    if found == "empty":
        return np.full(len(series), np.nan)
    if found in ("integer", "floating", "mixed-integer-float", "decimal", "boolean"):
        return np.asarray(pd.to_numeric(series.map(_number), errors="coerce"), np.float64)
    if found in ("datetime", "datetime64", "date"):
        return _moments(pd.to_datetime(series, utc=True, errors="coerce"))
    if found in ("timedelta", "timedelta64"):
        return _numbers(pd.to_timedelta(series).dt.total_seconds())
    if found == "string":
        return levels_of_strings(_strings(series), missing=missing)
    if found in ("bytes", "complex") or _holds_containers(series):
        return None
    return levels_of_strings(pa.array(map(label, series), pa.string()), missing=missing)


def _number(value: Any) -> float:
    return np.nan if pd.isna(value) else float(value)


def _holds_containers(series: pd.Series) -> bool:
    containers = (list, tuple, dict, set, frozenset, np.ndarray)
    return any(isinstance(value, containers) for value in series)


def _numbers(series: pd.Series) -> NDArray[np.float64]:
    return np.asarray(series.to_numpy(np.float64, na_value=np.nan), np.float64)


def _moments(series: pd.Series) -> NDArray[np.datetime64]:
    if getattr(series.dtype, "tz", None) is not None:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    return np.asarray(series.to_numpy(), "datetime64[us]")


def _strings(series: pd.Series) -> pa.Array:
    array = pa.array(series, from_pandas=True)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    return array.cast(pa.string())


def as_levels(series: pd.Series, *, missing: tuple[str, ...] = MISSING) -> Levels:
    """Any column as strings, so that it can be compared with levels that are known."""
    values = plain(series, missing=missing)
    if isinstance(values, Levels):
        return values
    if values is None:
        return Levels(np.full(len(series), -1, np.int32), pa.array([], pa.string()))
    codes, distinct = pd.factorize(series)
    return levels_of_strings(pa.array(map(label, distinct), pa.string()), codes, missing=missing)


def as_numbers(values: Plain) -> NDArray[np.float64]:
    """A plain column as numbers, NaN where there is none."""
    if isinstance(values, Levels):
        truth = pc.index_in(pc.utf8_lower(values.values), value_set=pa.array(["false", "true"]))
        words = truth.cast(pa.float64()).to_numpy(zero_copy_only=False)
        known = np.where(np.isnan(values.numbers), words, values.numbers)
        return np.asarray(values.spread(known, np.nan), np.float64)
    if values is None:
        raise TypeError("a column of lists or bytes has no numbers")
    if np.issubdtype(values.dtype, np.datetime64):
        moments = np.asarray(values, "datetime64[us]")
        return np.asarray((moments - np.datetime64(0, "us")) / np.timedelta64(1, "D"), np.float64)
    return np.asarray(values, np.float64)
