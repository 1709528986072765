"""A column of strings as its distinct strings and a code per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

# What people write, in any case, where there is no value.
MISSING = ("", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "nat", "null", "?", "none")
# Missing among numbers, but a level among strings ("+" and "-", "." and "x").
MISSING_NUMBER = ("-", "--", ".")

_PLAIN_NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"
_GROUPED = r"^[+-]?\d{1,3}(?:[,'’]\d{3})+(?:\.\d+)?$"
_INFINITE = r"^(?i:[+-]?inf(?:inity)?)$"


@dataclass(frozen=True)
class Levels:
    """A column of strings.

    Attributes:
        codes: int32 index into values per row, -1 where missing.
        values: the distinct strings, trimmed and none of them a word for missing.
        declared: whether it is a column of categories already.
    """

    codes: NDArray[np.int32]
    values: pa.Array
    declared: bool = False

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def counts(self) -> NDArray[np.intp]:
        """Rows of each level."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.values))

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """Each level read as a number, NaN where it is none."""
        return parse_numbers(self.values)

    @cached_property
    def are_codes(self) -> bool:
        """Whether somebody declared plain numbers to be categories."""
        plain = pc.match_substring_regex(self.values, _PLAIN_NUMBER)
        return self.declared and bool(pc.all(plain).as_py())

    def spread(self, per_level: NDArray[Any], missing: Any) -> NDArray[Any]:
        """One value per row from one per level."""
        # The code -1 of a missing row picks the last element.
        filler = np.full((1, *per_level.shape[1:]), missing, per_level.dtype)
        return np.concatenate([per_level, filler])[self.codes]


def levels_of_strings(
    values: pa.Array,
    codes: NDArray[np.integer] | None = None,
    *,
    missing: Sequence[str] = MISSING,
    declared: bool = False,
) -> Levels:
    """Trim strings, make words for missing missing, and code the rest.

    Args:
        values: strings or nulls.
        codes: index into them per row, -1 where missing; None if they are the rows.
        missing: lower-case words that stand for no value.
        declared: as in Levels.
    """
    if codes is None:
        encoded = values.dictionary_encode()
        values = encoded.dictionary
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    trimmed = pc.utf8_trim_whitespace(values.cast(pa.string()))
    absent = pc.is_in(pc.utf8_lower(trimmed), pa.array(missing, pa.string()))
    kept = pc.if_else(absent, pa.scalar(None, pa.string()), trimmed)
    if kept.null_count or pc.count_distinct(kept).as_py() < len(kept):
        again = kept.dictionary_encode()
        renamed = again.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        codes = np.append(renamed, -1)[codes]
        kept = again.dictionary
    return Levels(np.asarray(codes, np.int32), kept, declared)


def label(value: object) -> str | None:
    """How any single value is written: one way for 3, 3.0 and "3"."""
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float | np.floating):
        number = float(value)
        if np.isnan(number):
            return None
        return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def parse_numbers(values: pa.Array) -> NDArray[np.float64]:
    """Strings as numbers, NaN where one is none: 1e-3, 1,234.50, 12%, $ 1'000, inf."""
    bare = pc.replace_substring_regex(values, r"^([+-]?)\s*[$€£¥]\s*|\s*[%$€£¥]$", r"\1")
    grouped = pc.match_substring_regex(bare, _GROUPED)
    if pc.any(grouped).as_py():
        bare = pc.if_else(grouped, pc.replace_substring_regex(bare, r"[,'’]", ""), bare)
    finite = pc.match_substring_regex(bare, _PLAIN_NUMBER)
    readable = pc.or_(finite, pc.match_substring_regex(bare, _INFINITE))
    text = pc.if_else(readable, pc.utf8_ltrim(bare, "+"), pa.scalar(None, pa.string()))
    numbers = text.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.asarray(numbers, np.float64)


def not_numbers(levels: Levels) -> NDArray[np.bool_]:
    """Which levels are neither a number nor a sign for a missing one."""
    dash = pc.is_in(levels.values, pa.array(MISSING_NUMBER, pa.string()))
    return np.asarray(np.isnan(levels.numbers) & ~dash.to_numpy(zero_copy_only=False))


def places(values: pa.Array, known: pa.Array) -> NDArray[np.int32]:
    """Where each string stands among those that are known, -1 if nowhere.

    A number is the known number of the same value, as 7 is 007 and 7.0: how a reader takes a
    column of codes depends on the other rows.
    """
    found = pc.index_in(values, value_set=known).fill_null(-1).to_numpy(zero_copy_only=False)
    place = np.array(found, np.int32)
    unknown = np.flatnonzero(place < 0)
    numbers = parse_numbers(known)
    if len(unknown) and not np.isnan(numbers).all():
        order = np.argsort(numbers, kind="stable")
        asked = parse_numbers(values.take(pa.array(unknown)))
        nearest = order[np.minimum(np.searchsorted(numbers[order], asked), len(order) - 1)]
        place[unknown] = np.where(numbers[nearest] == asked, nearest, -1)
    return place
