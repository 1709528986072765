"""What a column is: number, category, date, text, or nothing to learn from."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from autometa.tables.dates import DateParts, find_formats, is_ambiguous, parse
from autometa.tables.levels import Levels, label, not_numbers
from autometa.tables.plain import plain
from autometa.tables.text import TextTopics, word_counts

Role = Literal["number", "category", "date", "text", "id", "constant", "nested"]

# Numbers among other strings: from this share on, and with more distinct values than that, the
# strings are the exception.
_NUMBER_SHARE = 0.8
_FEWEST_DISTINCT_NUMBERS = 20
_MANY_LEVELS = 1000
_MOSTLY_MISSING = 0.95
_ROWS_COMPARED = 10_000

_ID_NAME = re.compile(r"(?i:(^|[_\W])(id|uuid|guid)$)|[a-z](Id|ID)$|^(?i:id[_\W])")
_ROW_NAME = re.compile(r"(?i)^(unnamed: \d+|index|idx|row ?names?|row[_ ]?(id|number|num|nr|no)?)$")
_COUNTER_NAME = re.compile(r"(?i)(^|[_\W])(index|idx|no|nr|num|number|key|row|record|serial)$")
_DATE_NAME = re.compile(r"(?i)(^|[_\W])(date|day|dt)([_\W]|$)|[a-z]Date$")


@dataclass(frozen=True)
class Column:
    """One input column of a table and how it becomes features.

    Attributes:
        name: as in the table.
        role: what it is; "id", "constant" and "nested" columns make no features.
        levels: the strings of a category, in the order of their codes.
        dates: the encoder of a date.
        topics: the encoder of a text.
        mixed: whether a number column holds other strings too, which become missing.
        wide: whether float32 would merge its numbers.
    """

    name: str
    role: Role
    levels: tuple[str, ...] = ()
    dates: DateParts | None = None
    topics: TextTopics | None = None
    mixed: bool = False
    wide: bool = False

    @property
    def is_used(self) -> bool:
        """Whether features are made of it."""
        return self.role in ("number", "category", "date", "text")

    @property
    def number_names(self) -> tuple[str, ...]:
        """Names of the number columns made of it."""
        if self.dates is not None:
            return tuple(f"{self.name}.{part}" for part in self.dates.parts)
        if self.topics is not None:
            return tuple(f"{self.name}.{part}" for part in self.topics.names)
        return (self.name,) if self.role == "number" else ()

    def to_json(self) -> dict[str, Any]:
        """The fields that are set, as plain JSON."""
        state: dict[str, Any] = {"name": self.name, "role": self.role}
        if self.role == "category":
            state["levels"] = list(self.levels)
        if self.dates is not None:
            state["dates"] = self.dates.to_json()
        if self.topics is not None:
            state["topics"] = self.topics.to_json()
        return state | {flag: True for flag in ("mixed", "wide") if getattr(self, flag)}

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Column:
        """What :meth:`to_json` gave."""
        return cls(
            state["name"],
            state["role"],
            tuple(state.get("levels", ())),
            DateParts.from_json(state["dates"]) if "dates" in state else None,
            TextTopics.from_json(state["topics"]) if "topics" in state else None,
            mixed=state.get("mixed", False),
            wide=state.get("wide", False),
        )


def detect(name: str, series: pd.Series) -> tuple[Column, tuple[str, ...]]:
    """Find out what a column is.

    Args:
        name: of the column.
        series: its r rows.

    Returns:
        The column, and the codes of what is to be said about it.
    """
    values = plain(series)
    if values is None:
        return Column(name, "nested"), ("dropped-nested",)
    if isinstance(values, Levels):
        ordered = isinstance(series.dtype, pd.CategoricalDtype) and series.dtype.ordered
        column, codes = _of_strings(name, values, ordered=bool(ordered))
        present = (values.codes >= 0).mean()
    elif np.issubdtype(values.dtype, np.datetime64):
        moments = np.asarray(values[~pd.isna(values)], "datetime64[us]")
        present = len(moments) / len(values)
        column, codes = _of_moments(name, moments, (), rows=len(values))
    else:
        column, codes = _of_numbers(name, np.asarray(values, np.float64))
        present = np.isfinite(values).mean()
    if column.is_used and present < 1 - _MOSTLY_MISSING:
        codes = (*codes, "mostly-missing")
    return column, codes


def _of_numbers(name: str, values: NDArray[np.float64]) -> tuple[Column, tuple[str, ...]]:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Column(name, "constant"), ("dropped-empty",)
    low, high = float(finite.min()), float(finite.max())
    if low == high and len(finite) == len(values):
        return Column(name, "constant"), ("dropped-constant",)
    whole = bool((finite == np.rint(finite)).all())
    if whole and len(finite) == len(values) and _is_id(name, finite, low, high):
        return Column(name, "id"), ("dropped-id",)
    if whole and low >= 19000101 and high <= 21001231 and _DATE_NAME.search(name):
        texts = pa.array([label(v) for v in np.unique(finite).tolist()], pa.string())
        moments = parse(texts, ("%Y%m%d",))
        if not np.isnat(moments).any():
            return _of_moments(name, moments, ("%Y%m%d",), rows=len(values))
    huge = whole and max(-low, high) > 2**53
    wide = _needs_float64(finite, max(-low, high), whole=whole)
    return Column(name, "number", wide=wide), ("huge-integers",) if huge else ()


def _of_moments(
    name: str, moments: NDArray[np.datetime64], formats: tuple[str, ...], *, rows: int
) -> tuple[Column, tuple[str, ...]]:
    if not len(moments):
        return Column(name, "constant"), ("dropped-empty",)
    dates = DateParts.fit(moments, formats)
    if not dates.parts:
        if len(moments) == rows:
            return Column(name, "constant"), ("dropped-constant",)
        # Whether there is a date may still tell something.
        dates = replace(dates, parts=("days",))
    return Column(name, "date", dates=dates), ("mixed-dates",) if len(formats) > 1 else ()


def _of_strings(name: str, levels: Levels, *, ordered: bool) -> tuple[Column, tuple[str, ...]]:
    used = levels.counts > 0
    distinct, present = int(used.sum()), int(levels.counts.sum())
    if not distinct:
        return Column(name, "constant"), ("dropped-empty",)
    if distinct == 1 and present == len(levels):
        return Column(name, "constant"), ("dropped-constant",)
    if (found := _as_number(name, levels)) is not None:
        return found
    if formats := find_formats(levels):
        moments = parse(levels.values, formats)
        column, codes = _of_moments(name, moments[~np.isnat(moments)], formats, rows=len(levels))
        return column, (*codes, *(("ambiguous-dates",) if is_ambiguous(levels, formats) else ()))
    words = float(word_counts(levels.values[:_ROWS_COMPARED]).mean())
    share = distinct / present
    # Many different values of several words; of two words, such as names, nearly all different.
    if distinct >= 20 and ((words >= 3 and share >= 0.2) or (words >= 2 and share >= 0.9)):
        return Column(name, "text", topics=TextTopics.fit(levels)), ("text",)
    if words < 2 and distinct >= 10 and (distinct == present or (share > 0.95 and distinct > 100)):
        return Column(name, "id"), ("dropped-id",)
    names = [v for v, there in zip(levels.values.to_pylist(), used, strict=True) if there]
    if not ordered:
        numbers = levels.numbers[used]
        place = np.lexsort((np.array(names, object), np.nan_to_num(numbers, nan=np.inf)))
        names = [names[i] for i in place]
    return Column(name, "category", tuple(names)), ("many-levels",) if distinct >= _MANY_LEVELS else ()


def _as_number(name: str, levels: Levels) -> tuple[Column, tuple[str, ...]] | None:
    """The column as numbers, if its strings are numbers."""
    odd = not_numbers(levels)
    is_number = ~np.isnan(levels.numbers) & (levels.counts > 0)
    if not is_number.any() or levels.are_codes:
        return None
    if not odd.any():
        column, codes = _of_numbers(name, levels.spread(levels.numbers, np.nan))
        return column, codes
    numeric_share = levels.counts[is_number].sum() / levels.counts.sum()
    if numeric_share < _NUMBER_SHARE or is_number.sum() <= _FEWEST_DISTINCT_NUMBERS:
        return None
    column, codes = _of_numbers(name, levels.spread(levels.numbers, np.nan))
    return replace(column, mixed=True), (*codes, "mixed-types")


def _is_id(name: str, values: NDArray[np.float64], low: float, high: float) -> bool:
    """Whether whole numbers only name the rows; a name alone or a counter alone proves nothing."""
    named = _ID_NAME.search(name) or _ROW_NAME.search(name)
    counts = high - low + 1 == len(values) and bool(_COUNTER_NAME.search(name))
    return bool(named or counts) and len(np.unique(values)) == len(values)


def _needs_float64(values: NDArray[np.float64], largest: float, *, whole: bool) -> bool:
    """Whether float32 would merge distinct values, or cannot hold them."""
    if largest > float(np.finfo(np.float32).max):
        return True
    if whole:
        if largest <= 2**24:
            return False
        distinct = np.unique(values)
        return len(np.unique(distinct.astype(np.float32))) < len(distinct)
    step = max(1, len(values) // _ROWS_COMPARED)
    distinct = np.unique(values[::step])
    # A few of many random values always meet; a column that loses its differences loses many.
    return len(np.unique(distinct.astype(np.float32))) < 0.99 * len(distinct)
