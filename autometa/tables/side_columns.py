"""Columns with a part of their own: sample weights, groups, times."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from autometa.errors import InputError
from autometa.tables.dates import find_formats, parse
from autometa.tables.findings import nearest
from autometa.tables.levels import Levels
from autometa.tables.plain import as_levels, as_numbers, plain


def check_side_columns(
    frame: pd.DataFrame,
    *,
    target: str | None,
    weight: str | None = None,
    group: str | None = None,
    time: str | None = None,
) -> None:
    """Check that the columns named for a part of their own are there, and different.

    Raises:
        InputError: one is absent, or has two parts.
    """
    names = [str(name) for name in frame.columns]
    part_of = {} if target is None else {target: "--target"}
    for option, name in (("--weight", weight), ("--group", group), ("--time-column", time)):
        if name is None:
            continue
        if name not in names:
            raise InputError(f"{option} must name a column of the table; there is no {name!r}: {nearest(name, names)}")
        if name in part_of:
            raise InputError(f"{part_of[name]} and {option} must name different columns; both name {name!r}")
        part_of[name] = option


def sample_weights(series: pd.Series) -> NDArray[np.float64]:
    """A column as sample weights, shape (r,).

    Raises:
        InputError: one is negative, missing or no finite number, or all are 0.
    """
    values = plain(series)
    weights = np.full(len(series), np.nan) if values is None else as_numbers(values)
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"sample weights must be numbers from 0 on; {series.name!r} has {int(bad.sum()):,} "
            f"others, such as {series.iloc[first]!r} in row {first + 1}: fill or drop them"
        )
    if not weights.any():
        raise InputError(f"sample weights must not all be zero; in {series.name!r} none is above")
    return weights


def group_codes(groups: pd.Series | NDArray[Any]) -> NDArray[np.int64]:
    """A number per group, shape (r,); rows without a group make one together.

    Raises:
        InputError: there are fewer than two groups.
    """
    series = pd.Series(groups)
    distinct, codes = np.unique(as_levels(series).codes, return_inverse=True)
    if len(distinct) < 2:
        raise InputError(
            f"a split by group needs at least two groups; {str(series.name or 'the column')!r} has "
            f"{len(distinct)}: name another column, or split without groups"
        )
    return np.asarray(codes, np.int64)


def time_order(times: pd.Series | NDArray[Any]) -> NDArray[np.int64]:
    """The rank of each row's time, from 0, equal where times are equal; shape (r,).

    Raises:
        InputError: a time is missing, or the column holds neither dates nor numbers.
    """
    series = pd.Series(times)
    name = str(series.name or "the column")
    values = plain(series)
    if isinstance(values, Levels):
        values = _read_strings(values)
    if values is None:
        some = [str(value) for value in series.head(3)]
        raise InputError(
            f"a time column must hold dates or numbers; {name!r} holds {', '.join(some)}: "
            "write dates as 2024-12-31 or 2024-12-31T23:59:59"
        )
    missing = int(pd.isna(values).sum())
    if missing:
        raise InputError(
            f"every row must have a time; in {name!r} {missing:,} of {len(values):,} are missing "
            "or unreadable: fill or drop them"
        )
    distinct, ranks = np.unique(values, return_inverse=True)
    if len(distinct) < 2:
        raise InputError(f"a split by time needs at least two times; {name!r} has one: name another column")
    return np.asarray(ranks, np.int64)


def _read_strings(levels: Levels) -> NDArray[np.datetime64] | NDArray[np.float64] | None:
    if not np.isnan(levels.numbers).any() and len(levels.values):
        return as_numbers(levels)
    formats = find_formats(levels)
    if not formats:
        return None
    return levels.spread(parse(levels.values, formats), np.datetime64("NaT"))
