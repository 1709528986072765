"""What the data looked like, column by column, for the report."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from autometa.search.relation import binned, common_levels, correlation_ratio
from autometa.tables.dates import find_formats, parse
from autometa.tables.levels import Levels
from autometa.tables.plain import Plain, as_levels, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

MOST_ROWS = 20_000
MOST_COLUMNS = 1_000
BINS = 20
TOP = 6
VALUE_LENGTH = 60
FORMAT_ROWS = 60  # distinct dates from which their format is found


def describe_data(
    frame: pd.DataFrame,
    target: str,
    *,
    classes: Sequence[str] = (),
    roles: Mapping[str, str] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Each column's role, gaps, distinct values, shape, and what it alone says about the target.

    Args:
        frame: the raw columns, the target among them.
        target: name of the target column.
        classes: names of the classes, () for regression.
        roles: role of each input column by name, such as "number", "category" or "id".
        seed: draws the rows that are looked at where there are many.

    Returns:
        Plain values: "rows", "looked_at", "total_columns", "target" and "columns".
    """
    sample = frame
    if len(frame) > MOST_ROWS:
        sample = frame.iloc[np.sort(np.random.default_rng(seed).permutation(len(frame))[:MOST_ROWS])]
    asked = as_levels(sample[target]) if classes else plain(sample[target])
    answers = asked.codes.astype(np.int64) if isinstance(asked, Levels) else asked
    names = [name for name in sample.columns if name != target]
    roles = roles or {}
    return {
        "rows": len(frame),
        "looked_at": len(sample),
        "total_columns": len(names),
        "target": _column(target, "target", asked, answers),
        "columns": [
            _column(str(name), role, _values(sample[name], role), answers)
            for name, role in ((name, roles.get(name, "")) for name in names[:MOST_COLUMNS])
        ],
    }


def _values(series: pd.Series, role: str) -> Plain:
    """A column as numbers, moments or levels, by its role rather than by how it is stored."""
    from pandas.api.types import is_bool_dtype

    values = as_levels(series) if is_bool_dtype(series.dtype) else plain(series)
    if isinstance(values, Levels) and role == "number":
        return values.spread(values.numbers, math.nan)
    if isinstance(values, Levels) and role == "date":
        some = Levels(values.codes[values.codes < FORMAT_ROWS], values.values[:FORMAT_ROWS])
        if formats := find_formats(some):
            return values.spread(parse(values.values, formats), np.datetime64("NaT"))
    return values


def _column(name: str, role: str, values: Plain, answers: NDArray[Any] | None) -> dict[str, Any]:
    about: dict[str, Any] = {"name": name, "role": role}
    if values is None:
        return about | {"missing": 0.0, "distinct": None, "top": [], "filled": 0}
    if isinstance(values, Levels):
        about |= _of_levels(values)
        codes = common_levels(values.codes)
    else:
        about |= _of_numbers(values)
        codes = binned(_seconds(values))
    if answers is not None and role != "target":
        known = np.isfinite(answers) if answers.dtype.kind == "f" else answers >= 0
        # Where nearly every row has a level of its own, they say nothing about other rows.
        alone = isinstance(values, Levels) and about["distinct"] > about["filled"] / 2
        about["relation"] = 0.0 if alone else round(correlation_ratio(codes[known], answers[known]), 4)
    return about


def _of_levels(values: Levels) -> dict[str, Any]:
    order = np.argsort(-values.counts, kind="stable")[:TOP]
    return {
        "missing": _share(values.codes < 0),
        "distinct": int((values.counts > 0).sum()),
        "top": [[_short(values.values[int(i)].as_py()), int(values.counts[i])] for i in order if values.counts[i]],
        "filled": int(values.counts.sum()),
    }


def _of_numbers(values: NDArray[Any]) -> dict[str, Any]:
    """Histogram between the outer percentiles, so that one huge value does not flatten the rest."""
    numbers = _seconds(values)
    known = numbers[np.isfinite(numbers)]
    about: dict[str, Any] = {"missing": _share(~np.isfinite(numbers)), "distinct": len(np.unique(known)), "counts": []}
    if not len(known):
        return about
    low, middle, high = (float(v) for v in np.quantile(known, [0.005, 0.5, 0.995]))
    inside = known[(known >= low) & (known <= high)]
    bins = min(BINS, max(1, len(np.unique(inside))))
    about["counts"] = np.histogram(inside, bins)[0].tolist() if high > low else [len(inside)]
    for key, value in (("low", known.min()), ("median", middle), ("high", known.max())):
        about[key] = _day(value) if values.dtype.kind == "M" else float(f"{value:.6g}")
    return about


def _seconds(values: NDArray[Any]) -> NDArray[np.float64]:
    """Numbers as they are, moments as seconds since 1970."""
    if values.dtype.kind != "M":
        return np.asarray(values, np.float64)
    seconds = values.astype("datetime64[s]").astype(np.float64)
    return np.where(np.isnat(values), math.nan, seconds)


def _day(seconds: float) -> str:
    return str(np.datetime64(round(seconds), "s").astype("datetime64[D]"))


def _share(where: NDArray[np.bool_]) -> float:
    return float(where.mean()) if len(where) else 0.0


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= VALUE_LENGTH else line[: VALUE_LENGTH - 1] + "…"
