"""Dates: the ways they are written, and the numbers that models can use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from autometa.tables.levels import Levels, label

_LOOKED_AT = 300
_PARSED_SHARE = 0.95
_MOST_FORMATS = 4
_LOOKS_LIKE_A_DATE = (
    r"^(?i:\d{1,4}[-/. ]\d{1,2}[-/. ]\d{1,4}|\d{4}-\d{2}$|\d{1,2}:\d{2}(:\d{2})?$"
    r"|([a-z]{3,9},? )?\d{1,2}[- .][a-z]{3,9}\.?[-, ]+\d{2,4}|[a-z]{3,9}\.? \d{1,2},? \d{4})"
)
_DAYS = (
    *("%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d"),
    *("%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d %B %Y"),
    *("%d. %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y", "%a, %d %b %Y"),
)
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
# The first of two that both fit is taken: months first with slashes, days first otherwise.
_FORMATS = (
    "ISO8601",
    *(day + clock for day in _DAYS for clock in _CLOCKS),
    *("%a, %d %b %Y %H:%M:%S %z", "%H:%M:%S", "%H:%M"),
)
_SWAPPED = {"%m/%d": "%d/%m", "%d/%m": "%m/%d", "%d-%m": "%m-%d", "%d.%m": "%m.%d"}
_PARTS = ("year", "month", "day", "weekday", "hour", "minute", "days")


@dataclass(frozen=True)
class DateParts:
    """How a column of dates becomes numbers.

    Attributes:
        formats: how its strings are written, in the order in which they are tried; () for a
            column that holds moments already.
        parts: which numbers are made of a date; "days" since 1970 carry the time of day.
    """

    formats: tuple[str, ...]
    parts: tuple[str, ...]

    @classmethod
    def fit(cls, moments: NDArray[np.datetime64], formats: tuple[str, ...]) -> DateParts:
        """Keep the parts that vary."""
        columns = dict(_all_parts(moments))
        varying = [p for p in _PARTS if np.nanmin(columns[p]) < np.nanmax(columns[p])]
        return cls(formats, tuple(varying))

    def encode(self, moments: NDArray[np.datetime64]) -> NDArray[np.float64]:
        """One column per part, NaN where there is no date."""
        columns = dict(_all_parts(moments))
        return np.column_stack([columns[part] for part in self.parts])

    def read(self, values: NDArray[Any] | Levels) -> NDArray[np.datetime64]:
        """The moments of a plain column; NaT where a value is no date."""
        if isinstance(values, Levels):
            # What a reader took for dates comes as strings where new rows hold a word among them.
            usual = "%H:%M" if self.formats[:1] == ("%H:%M:%S",) else "ISO8601"
            return values.spread(parse(values.values, (*self.formats, usual)), np.datetime64("NaT"))
        if np.issubdtype(values.dtype, np.datetime64):
            return values
        distinct, codes = np.unique(values, return_inverse=True)
        texts = pa.array([label(v) for v in distinct.tolist()], pa.string())
        return parse(texts, self.formats)[codes]

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON."""
        return {"formats": list(self.formats), "parts": list(self.parts)}

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> DateParts:
        """What :meth:`to_json` gave."""
        return cls(tuple(state["formats"]), tuple(state["parts"]))


def find_formats(levels: Levels) -> tuple[str, ...]:
    """How a column of strings writes dates, best first; () if it does not hold dates."""
    values = levels.values
    if not len(values):
        return ()
    step = max(1, len(values) // _LOOKED_AT)
    some = values.take(pa.array(np.arange(0, len(values), step)))
    likely = pc.match_substring_regex(some, _LOOKS_LIKE_A_DATE)
    if pc.sum(likely).as_py() < _PARSED_SHARE * len(some):
        return ()
    found: list[str] = []
    rest = some.to_numpy(zero_copy_only=False)
    for _ in range(_MOST_FORMATS):
        shares = [(np.mean(~np.isnat(_read(rest, f))), -i) for i, f in enumerate(_FORMATS)]
        share, place = max(shares)
        if not share:
            break
        found.append(_FORMATS[-place])
        rest = rest[np.isnat(_read(rest, found[-1]))]
        if not len(rest):
            break
    # A sample settles the formats cheaply; all levels must then agree.
    parsed = ~np.isnat(parse(values, tuple(found)))
    return tuple(found) if parsed.mean() >= _PARSED_SHARE else ()


def is_ambiguous(levels: Levels, formats: tuple[str, ...]) -> bool:
    """Whether days and months could be swapped in every value."""
    for start, other in _SWAPPED.items():
        if formats[0].startswith(start):
            swapped = (formats[0].replace(start, other, 1), *formats[1:])
            return not np.isnat(parse(levels.values, swapped)).any()
    return False


def parse(values: pa.Array, formats: tuple[str, ...]) -> NDArray[np.datetime64]:
    """Strings as moments, each by the first format that fits; NaT where none does."""
    texts = values.to_numpy(zero_copy_only=False)
    moments = np.full(len(texts), np.datetime64("NaT"), "datetime64[us]")
    left = np.arange(len(texts))
    for date_format in formats:
        moments[left] = _read(texts[left], date_format)
        left = left[np.isnat(moments[left])]
        if not len(left):
            break
    return moments


def _read(texts: NDArray[Any], date_format: str) -> NDArray[np.datetime64]:
    moments = pd.to_datetime(pd.Series(texts, dtype=object), format=date_format, errors="coerce", utc=True)
    return np.asarray(moments.dt.tz_localize(None).to_numpy(), "datetime64[us]")


def _all_parts(moments: NDArray[np.datetime64]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    fields = pd.Series(moments).dt
    for part in _PARTS[:-1]:
        field = "day_of_week" if part == "weekday" else part
        yield part, np.asarray(getattr(fields, field), np.float64)
    days = (moments - np.datetime64(0, "us")) / np.timedelta64(1, "D")
    yield "days", np.asarray(days, np.float64)
