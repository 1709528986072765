"""The columns of a table, and how its rows become features; saved as plain JSON."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from autometa.errors import InputError, SchemaError
from autometa.tables.columns import Column, detect
from autometa.tables.encoding import category_codes, number_block
from autometa.tables.findings import Finding, listed, nearest
from autometa.tables.table import Features

_MESSAGES = {
    "dropped-id": "left out, as they only name the rows: {}",
    "dropped-constant": "left out, as they hold one value throughout: {}",
    "dropped-empty": "left out, as they hold no value: {}",
    "dropped-nested": "left out, as they hold lists, structures or bytes: {}",
    "mostly-missing": "missing in more than 95 % of the rows: {}",
    "mixed-types": "read as numbers; the other strings in them count as missing: {}",
    "mixed-dates": "dates written in several ways, each read by the first that fits: {}",
    "ambiguous-dates": (
        "dates whose day and month could be swapped; with slashes the month is taken to come "
        "first, otherwise the day: {}"
    ),
    "huge-integers": "integers beyond 2^53 are rounded: {}",
    "many-levels": "categories of a thousand levels or more: {}",
    "text": "free text becomes topics, length and number of words: {}",
    "infinite": "infinite values count as missing: {}",
    "not-a-number": "strings where numbers are expected count as missing: {}",
    "not-a-date": "values that are no dates count as missing: {}",
    "unseen-levels": "values that were not seen at the fit count as missing: {}",
    "extra-columns": "ignored, as they were not there at the fit: {}",
}


def _findings(columns_of: dict[str, list[str]]) -> list[Finding]:
    return [Finding(code, _MESSAGES[code].format(listed(names)), tuple(names)) for code, names in columns_of.items()]


@dataclass(frozen=True)
class Schema:
    """The input columns of a table and how they become features.

    Attributes:
        columns: every input column, those that make no features too.
        ignored: further columns of the table, such as the target.
    """

    columns: tuple[Column, ...]
    ignored: tuple[str, ...] = ()

    @classmethod
    def fit(cls, frame: pd.DataFrame, *, exclude: AbstractSet[str]) -> tuple[Schema, list[Finding]]:
        """Find out what the columns of a table are.

        Args:
            frame: r rows, as read by :func:`~autometa.tables.reading.read_table`.
            exclude: columns that are no inputs: target, weights, groups.

        Raises:
            InputError: no column is left to learn from.
        """
        columns = []
        columns_of: dict[str, list[str]] = {}
        for name in frame.columns:
            if name in exclude:
                continue
            column, codes = detect(name, frame[name])
            columns.append(column)
            for code in codes:
                columns_of.setdefault(code, []).append(name)
        if not any(column.is_used for column in columns):
            roles = ", ".join(f"{c.name!r}: {c.role}" for c in columns[:5]) or "none"
            raise InputError(
                "at least one column must tell the rows apart beyond naming them; the inputs "
                f"are {roles}: add columns to predict from"
            )
        ignored = tuple(name for name in frame.columns if name in exclude)
        return cls(tuple(columns), ignored), _findings(columns_of)

    @property
    def number_names(self) -> tuple[str, ...]:
        """Names of the number features, all different."""
        names: list[str] = []
        for column in self.columns:
            names += column.number_names
        # A part of a date may be called what another column is called already.
        return tuple(name if names.index(name) == i else f"{name}_{i}" for i, name in enumerate(names))

    @property
    def category_names(self) -> tuple[str, ...]:
        """Names of the category features."""
        return tuple(c.name for c in self.columns if c.role == "category")

    @property
    def number_origins(self) -> dict[str, str]:
        """The column that each number feature is made of, by the feature's name."""
        made_of = [column.name for column in self.columns for _ in column.number_names]
        return dict(zip(self.number_names, made_of, strict=True))

    @property
    def origins(self) -> dict[str, str]:
        """The column that each feature is made of, by the feature's name."""
        return self.number_origins | {name: name for name in self.category_names}

    def encode(self, frame: pd.DataFrame) -> tuple[Features, list[Finding]]:
        """Rows as features.

        Args:
            frame: r rows with every column that makes features; others are ignored.

        Raises:
            SchemaError: a needed column is absent.
        """
        used = [column for column in self.columns if column.is_used]
        self._check_present([column.name for column in used], list(frame.columns))
        columns_of: dict[str, list[str]] = {}
        known = {column.name for column in self.columns}.union(self.ignored)
        if extra := [str(name) for name in frame.columns if name not in known]:
            columns_of["extra-columns"] = extra
        wide = any(column.wide for column in used)
        dtype = np.float64 if wide else np.float32
        largest = float(np.finfo(dtype).max)
        numbers = np.empty((len(frame), len(self.number_names)), dtype)
        categories = np.empty((len(frame), len(self.category_names)), np.int32)
        number = category = 0
        for column in used:
            series = frame[column.name]
            if column.role == "category":
                categories[:, category], problems = category_codes(column, series)
                category += 1
            else:
                width = len(column.number_names)
                block, problems = number_block(column, series)
                # New rows may go beyond what the numbers of the fit needed.
                numbers[:, number : number + width] = block.clip(-largest, largest)
                number += width
            for code in problems:
                columns_of.setdefault(code, []).append(column.name)
        cardinalities = tuple(len(c.levels) for c in used if c.role == "category")
        features = Features(numbers, categories, cardinalities, self.number_names, self.category_names)
        return features, _findings(columns_of)

    def _check_present(self, needed: list[str], present: list[str]) -> None:
        absent = [name for name in needed if name not in set(present)]
        if absent:
            hints = "; ".join(f"for {name!r} {nearest(name, present)}" for name in absent[:3])
            raise SchemaError(
                "every column that the model was fitted on must be there; "
                f"{listed(absent)} {'is' if len(absent) == 1 else 'are'} missing ({hints}): "
                "add or rename columns"
            )

    def to_json(self) -> dict[str, Any]:
        """The schema as plain JSON."""
        columns = [column.to_json() for column in self.columns]
        return {"columns": columns, "ignored": list(self.ignored)}

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Schema:
        """What :meth:`to_json` gave."""
        columns = tuple(Column.from_json(column) for column in state["columns"])
        return cls(columns, tuple(state["ignored"]))
