"""Signs that a score will flatter: columns that give the target away, rows that are copies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autometa.tables.findings import Finding, listed

if TYPE_CHECKING:
    from autometa.tables.table import Features, Table

# Rows that a column is judged on.
_ROWS_JUDGED = 20_000
# What one column alone may leave unexplained of what the commonest answer leaves.
_LEFT_BY_A_LEAK = 0.001
_FEWEST_ROWS_JUDGED = 30
# A number with at least so many rows per value may be a code.
_ROWS_PER_LEVEL = 5
_SHARE_OF_COPIES = 0.01
_COLUMNS_HASHED_FIRST = 8
_CONFLICTS_OF_COPIES = 0.25


def find_leaks(table: Table, *, seed: int = 0) -> list[Finding]:
    """Columns that alone determine the target, and rows that are copies of each other.

    Each column by itself predicts a random half of the rows from the other half: a category by
    the commonest class (or mean target) of its level, a number by its nearest neighbour (or, for
    a regression, on the line between the two). That finds copies, recodings and monotone
    transforms of the target as well as rules. A large table is judged on a sample of rows.

    Args:
        table: r rows.
        seed: of the sample and the halves.
    """
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(table))[:_ROWS_JUDGED]
    target = np.asarray(table.target)[rows]
    if not table.classes:
        # Ranks make all monotone transforms alike, and a heavy tail harmless.
        distinct, rank = np.unique(target, return_inverse=True)
        target = rank / len(distinct)
    findings = []
    if len(rows) >= _FEWEST_ROWS_JUDGED:
        left = _left_by_each(table, rows, target)
        leaks = [name for name, share in left.items() if share <= _LEFT_BY_A_LEAK]
        if leaks:
            message = (
                f"each of these alone determines the target: {listed(leaks)}; is it known before "
                "the target is? If not, drop it"
            )
            findings.append(Finding("leak", message, tuple(leaks)))
    return findings + _copies(table, rng)


def _left_by_each(table: Table, rows: NDArray[np.intp], target: NDArray[Any]) -> dict[str, float]:
    features = table.features
    left_by = _errors_left if table.classes else _variance_left
    left = {}
    for i, name in enumerate(features.category_names):
        left[name] = left_by(features.categories[rows, i], target, is_category=True)
    for i, name in enumerate(features.number_names):
        values = np.asarray(features.numbers[rows, i], np.float64)
        left[name] = left_by(values, target, is_category=False)
        if len(np.unique(values)) * _ROWS_PER_LEVEL <= len(values):
            codes = np.unique(values, return_inverse=True)[1]
            left[name] = min(left[name], left_by(codes, target, is_category=True))
    return left


def shared_rows(train: Features, test: Features) -> list[Finding]:
    """Test rows whose inputs are those of a training row."""
    copies = np.isin(row_hashes(test), row_hashes(train))
    if copies.mean() < _SHARE_OF_COPIES:
        return []
    message = (
        f"{int(copies.sum()):,} of {len(copies):,} test rows ({copies.mean():.1%}) have the same "
        "inputs as a training row: the test score may flatter"
    )
    return [Finding("test-rows-seen", message)]


def row_hashes(features: Features) -> NDArray[np.uint64]:
    """A number per row, shape (r,), equal for rows that are equal in all features."""
    hashes = np.zeros(len(features), np.uint64)
    for i in range(features.numbers.shape[1]):
        # Adding 0 makes -0 into 0; every NaN gets the same bits.
        column = np.asarray(features.numbers[:, i], np.float64) + 0.0
        column[np.isnan(column)] = np.nan
        hashes = _mixed(hashes, column.view(np.uint64))
    for i in range(features.categories.shape[1]):
        column = np.asarray(features.categories[:, i], np.int64)
        hashes = _mixed(hashes, column.view(np.uint64))
    return hashes


def _mixed(hashes: NDArray[np.uint64], bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele et al. 2014) over hash and column."""
    z = hashes * np.uint64(0x9E3779B97F4A7C15) + bits
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _copies(table: Table, rng: np.random.Generator) -> list[Finding]:
    rows = _copied_rows(table.features)
    share = len(rows) / max(1, len(table))
    if share < _SHARE_OF_COPIES:
        return []
    _, group = np.unique(row_hashes(table.features.take(rows)), return_inverse=True)
    target = np.asarray(table.target, np.float64)[rows]
    conflicting = _conflicting(group, target)
    # Coarse inputs coincide by chance, and then their targets agree hardly more than any.
    if conflicting > _CONFLICTS_OF_COPIES * _conflicting(group, rng.permutation(target)):
        return []
    message = (
        f"{len(rows):,} of {len(table):,} rows ({share:.1%}) have the same inputs as another row, "
        f"{conflicting:,} of them with different targets; copies on both sides of a split flatter "
        "the score: drop them, or keep them together with --group"
    )
    return [Finding("duplicate-rows", message)]


def _copied_rows(features: Features) -> NDArray[np.intp]:
    """Rows that some other row equals in all features."""
    some = slice(0, _COLUMNS_HASHED_FIRST)
    # Few columns tell most rows apart; only the others need all columns looked at.
    first = replace(features, numbers=features.numbers[:, some], categories=features.categories[:, some])
    rows = np.flatnonzero(_repeated(row_hashes(first)))
    return rows[_repeated(row_hashes(features.take(rows)))]


def _repeated(hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    order = np.argsort(hashes)
    same = hashes[order][1:] == hashes[order][:-1]
    repeated = np.zeros(len(hashes), bool)
    repeated[order] = np.append(same, False) | np.append(False, same)
    return repeated


def _conflicting(group: NDArray[np.intp], target: NDArray[np.float64]) -> int:
    """Rows in groups with different targets."""
    low, high = np.full(group.max() + 1, np.inf), np.full(group.max() + 1, -np.inf)
    np.minimum.at(low, group, target)
    np.maximum.at(high, group, target)
    return int((low < high)[group].sum())


def _halves(values: NDArray[Any]) -> tuple[slice, slice]:
    # The rows stand in random order already.
    middle = len(values) // 2
    return slice(0, middle), slice(middle, None)


def _errors_left(values: NDArray[Any], codes: NDArray[np.int64], *, is_category: bool) -> float:
    """Errors of the column alone, as a share of those of the commonest class."""
    known, asked = _halves(values)
    counts = np.bincount(codes[known])
    commonest = int(counts.argmax())
    cells, query = _cells(values[known], values[asked], is_category=is_category)
    width = int(codes.max()) + 1
    votes = np.bincount(cells * width + codes[known], minlength=(int(cells.max(initial=0)) + 1) * width).reshape(
        -1, width
    )
    answered = query < len(votes)
    truth = codes[asked][answered]
    baseline = int((truth != commonest).sum())
    if not baseline or answered.mean() < 0.5:
        return np.inf
    return float((votes.argmax(axis=1)[query[answered]] != truth).sum()) / baseline


def _cells(
    known: NDArray[Any], asked: NDArray[Any], *, is_category: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A cell per known value, and the cell that answers each asked one; a large one if none."""
    none = np.iinfo(np.int64).max
    if is_category:
        distinct, cells = np.unique(known, return_inverse=True)
        query = np.searchsorted(distinct, asked)
        found = np.append(distinct, distinct[-1] + 1)[query] == asked
        return cells, np.where(found, query, none)
    distinct, cells = np.unique(known, return_inverse=True, equal_nan=True)
    has_missing = bool(np.isnan(distinct[-1]))
    finite = distinct[:-1] if has_missing else distinct
    if not len(finite):
        return cells, np.where(np.isnan(asked), 0, none)
    query = _nearest(finite, asked)
    missing = np.isnan(asked)
    query[missing] = len(finite) if has_missing else none
    return cells, query


def _nearest(ascending: NDArray[np.floating], asked: NDArray[np.floating]) -> NDArray[np.int64]:
    right = np.clip(np.searchsorted(ascending, asked), 1, max(1, len(ascending) - 1))
    right = np.minimum(right, len(ascending) - 1)
    left = np.maximum(right - 1, 0)
    closer_left = asked - ascending[left] <= ascending[right] - asked
    return np.where(closer_left, left, right).astype(np.int64)


def _variance_left(values: NDArray[Any], target: NDArray[np.float64], *, is_category: bool) -> float:
    """Squared error of the column alone, as a share of that of the mean."""
    known, asked = _halves(values)
    mean = target[known].mean()
    baseline = float(((target[asked] - mean) ** 2).sum())
    cells, query = _cells(values[known], values[asked], is_category=is_category)
    sums = np.bincount(cells, target[known])
    means = sums / np.bincount(cells)
    answer = np.append(means, mean)[np.minimum(query, len(means))]
    if not is_category:
        distinct = np.unique(values[known], equal_nan=True)
        finite = ~np.isnan(distinct)
        there = ~np.isnan(values[asked])
        if finite.any():
            line = np.interp(values[asked][there], distinct[finite], means[: len(distinct)][finite])
            answer[there] = line
    if not baseline:
        return np.inf
    return float(((answer - target[asked]) ** 2).sum()) / baseline
