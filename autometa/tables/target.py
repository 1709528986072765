"""What is to be predicted: which column, what kind of task, and its values as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from autometa.errors import InputError
from autometa.tables.findings import Finding, listed, nearest
from autometa.tables.levels import Levels, places
from autometa.tables.levels import label as label_of
from autometa.tables.plain import as_levels, as_numbers
from autometa.tables.table import Kind
from autometa.tables.target_values import MISSING_TARGET, Label, labels_of, target_values

_USUAL_NAMES = ("target", "class", "label", "y")
_FEWEST_ROWS = 10


def choose_target(frame: pd.DataFrame, target: str | None) -> tuple[str, Finding | None]:
    """The column to predict: the one named, else one with a usual name, else the last.

    Args:
        frame: the table.
        target: the name that the user gave.

    Returns:
        The name, and a finding that says so where the user gave none.

    Raises:
        InputError: there is no such column, or no other column to predict it from.
    """
    names = [str(name) for name in frame.columns]
    if len(names) < 2:
        raise InputError(
            "a table must have a target and at least one column to predict it from; this one "
            f"has the single column {listed(names)}: check the delimiter, or add columns"
        )
    if target is not None:
        if target not in names:
            raise InputError(
                f"the target must be a column of the table; there is no {target!r}: {nearest(target, names)}"
            )
        return target, None
    by_lower = {name.lower(): name for name in reversed(names)}
    usual = [by_lower[name] for name in _USUAL_NAMES if name in by_lower]
    chosen, why = (usual[0], "by its name") if usual else (names[-1], "as the last column")
    message = f"the target is {chosen!r}, taken {why}; name another one with --target"
    return chosen, Finding("target-chosen", message, (chosen,))


def infer_task(series: pd.Series, task: Literal["auto", "classification", "regression"] = "auto") -> Kind:
    """The kind of task that a target makes.

    With "auto", strings, truth values and declared categories are classes, and so are any two
    distinct values. Other numbers are classes only if they are whole and either

    - at most 20 are distinct, with 10 rows or more each on average; from 11 on moreover none
      has fewer than 3 rows (as the tail of a count has) and they are not all multiples of a
      step (as a rounded measurement is), or
    - they are 0..k or 1..k with about equally many rows each, at least 5 (as in a designed
      experiment).

    Args:
        series: the target.
        task: what the user asked for.

    Raises:
        InputError: the target has no two distinct values, or cannot be what was asked for.
    """
    values = target_values(series)
    name = str(series.name)
    if task == "regression":
        if isinstance(values, Levels) and np.isnan(as_numbers(values)[values.codes >= 0]).any():
            raise InputError(
                f"a regression target must hold numbers; {name!r} holds "
                f"{listed(values.values.to_pylist(), limit=3)}: ask for classification, or clean "
                "the column"
            )
        return "regression"
    classes = len(values.values) if isinstance(values, Levels) else len(_distinct(values))
    if task == "auto" and not isinstance(values, Levels) and not _are_classes(values):
        return "regression"
    return "binary" if classes == 2 else "multiclass"


def _distinct(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.unique(values[np.isfinite(values)])


def _are_classes(values: NDArray[np.float64]) -> bool:
    distinct, rows = np.unique(values[np.isfinite(values)], return_counts=True)
    k = len(distinct)
    if k <= 2:
        return True
    if (distinct != np.rint(distinct)).any():
        return False
    if k <= 20 and rows.sum() >= 10 * k:
        step = np.gcd.reduce(np.diff(distinct).astype(np.int64))
        return k <= 10 or bool(rows.min() >= 3 and step == 1)
    consecutive = distinct[0] in (0, 1) and distinct[-1] - distinct[0] == k - 1
    return bool(consecutive and rows.min() >= 5 and rows.max() <= 1.5 * rows.min())


@dataclass(frozen=True)
class KnownTarget:
    """A target column as numbers, as far as it is known.

    Attributes:
        values: shape (r,): int64 class indices, -1 where unknown; or float64, NaN where unknown.
        known: which of the rows have a target that the codec knows.
        findings: what is to be said about the others.
    """

    values: NDArray[np.int64] | NDArray[np.float64]
    known: NDArray[np.bool_]
    findings: list[Finding]


@dataclass(frozen=True)
class TargetCodec:
    """A target column as the numbers that learners see, and back.

    Attributes:
        name: of the column.
        kind: of the task.
        labels: the c classes in order, in the type that the table had; () for regression.
    """

    name: str
    kind: Kind
    labels: tuple[Label, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels as strings."""
        return tuple(str(label_of(value)) for value in self.labels)

    @classmethod
    def fit(cls, series: pd.Series, kind: Kind) -> tuple[TargetCodec, NDArray[np.bool_], list[Finding]]:
        """Take the classes from a target column.

        Args:
            series: r rows.
            kind: what :func:`infer_task` says.

        Returns:
            The codec, which of the rows have a target, and what is to be said about the others.

        Raises:
            InputError: too few rows have a target, or it has no two values, or nearly every
                row is a class of its own.
        """
        name = str(series.name)
        if kind == "regression":
            numbers = as_numbers(target_values(series))
            _check_rows(name, int(np.isfinite(numbers).sum()), len(_distinct(numbers)))
            codec = cls(name, kind)
        else:
            labels, rows = labels_of(series)
            _check_rows(name, rows, len(labels))
            if len(labels) > max(20, rows / 2):
                raise InputError(
                    f"a class must have several rows; {name!r} has {len(labels)} distinct values "
                    f"in {rows} rows: ask for regression if they are numbers, or name another "
                    "target"
                )
            codec = cls(name, "binary" if len(labels) == 2 else "multiclass", labels)
        known = codec.encode_known(series)
        return codec, known.known, known.findings

    def encode(self, series: pd.Series) -> NDArray[np.int64] | NDArray[np.float64]:
        """A target column as numbers, where all of it is known.

        Raises:
            InputError: it is not.
        """
        target = self.encode_known(series)
        if not target.known.all():
            raise InputError(
                "every row must have a target that was seen at the fit; "
                + "; ".join(finding.message for finding in target.findings)
            )
        return target.values

    def encode_known(self, series: pd.Series) -> KnownTarget:
        """A target column as numbers, as far as it is known."""
        if self.kind == "regression":
            numbers = as_numbers(target_values(series))
            known = np.isfinite(numbers)
            return KnownTarget(np.where(known, numbers, np.nan), known, self._missing(known))
        levels = as_levels(series, missing=MISSING_TARGET)
        code_of = places(levels.values, pa.array(self.classes, pa.string()))
        codes = np.asarray(levels.spread(code_of, -1), np.int64)
        findings = self._missing(levels.codes >= 0)
        unseen = np.flatnonzero((code_of < 0) & (levels.counts > 0))
        if len(unseen):
            names = levels.values.take(pa.array(unseen)).to_pylist()
            message = (
                f"{int(levels.counts[unseen].sum()):,} rows are left out, as their class was not "
                f"seen at the fit: {listed(names)}"
            )
            findings.append(Finding("unseen-classes", message, (self.name,)))
        return KnownTarget(codes, codes >= 0, findings)

    def decode(self, values: NDArray[Any]) -> NDArray[Any]:
        """Class indices as labels in the type that the table had; regression values as they are."""
        if self.kind == "regression":
            return np.asarray(values, np.float64)
        kind = object if isinstance(self.labels[0], str) else None
        return np.asarray(self.labels, kind)[np.asarray(values, np.intp)]

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON."""
        return {"name": self.name, "kind": self.kind, "labels": list(self.labels)}

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> TargetCodec:
        """What :meth:`to_json` gave."""
        return cls(state["name"], state["kind"], tuple(state["labels"]))

    def _missing(self, known: NDArray[np.bool_]) -> list[Finding]:
        missing = int((~known).sum())
        if not missing:
            return []
        message = f"{missing:,} of {len(known):,} rows are left out, as {self.name!r} is missing"
        return [Finding("missing-target", message, (self.name,))]


def _check_rows(name: str, rows: int, distinct: int) -> None:
    if not rows:
        raise InputError(
            f"the target must be known in some rows; {name!r} is missing in all of them: name another target"
        )
    if rows < _FEWEST_ROWS:
        raise InputError(f"at least {_FEWEST_ROWS} rows must have a target; {name!r} has {rows}: add rows")
    if distinct < 2:
        raise InputError(f"a target must have at least two different values; {name!r} has one: name another target")
