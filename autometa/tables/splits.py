"""Which rows are trained on and which validate: k-fold, by group, or forward in time."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autometa.errors import InputError
from autometa.tables.findings import Finding, listed
from autometa.tables.grouping import deal_groups
from autometa.tables.side_columns import group_codes, time_order

if TYPE_CHECKING:
    import pandas as pd

    from autometa.tables.table import Table

# Rows of a regression are dealt evenly from so many slices of the target.
_SLICES = 10


@dataclass(frozen=True)
class Folds:
    """Pairs of training and validation rows, numbered repeat * k + j.

    Attributes:
        k: folds of one repeat.
        repeats: how often all rows are dealt anew.
        blocks: int16, shape (repeats, r): the fold in which each row validates. Forward in
            time: the block of each row in time, 0 for the first, which only trains.
        ranks: in a split by time, the place of each row in time, shape (r,), else None.
        embargo: in a split by time, the last training rows left out before each validation block.
        rows: what the r rows are called, where they are part of a larger table, else None.
        findings: what is to be said about the split; not saved.
    """

    k: int
    repeats: int
    blocks: NDArray[np.int16]
    ranks: NDArray[np.int64] | None = None
    embargo: int = 0
    rows: NDArray[np.intp] | None = None
    findings: tuple[Finding, ...] = ()

    def __len__(self) -> int:
        return self.k * self.repeats

    def pair(self, fold: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Training and validation rows of one fold, each in ascending order.

        In a split by time, fold 0 is the latest: it has the most training rows, and is the first to be fitted.

        Raises:
            InputError: there is no such fold.
        """
        if not 0 <= fold < len(self):
            raise InputError(f"a fold must be in 0..{len(self) - 1}; got {fold}")
        repeat, j = divmod(fold, self.k)
        blocks = self.blocks[repeat]
        if self.ranks is None:
            train, valid = np.flatnonzero(blocks != j), np.flatnonzero(blocks == j)
        else:
            last = self.k - j
            before, valid = np.flatnonzero(blocks < last), np.flatnonzero(blocks == last)
            in_time = before[np.argsort(self.ranks[before], kind="stable")]
            train = np.sort(in_time[: len(in_time) - self.embargo])
        if self.rows is None:
            return train, valid
        return self.rows[train], self.rows[valid]

    def within(self, rows: NDArray[np.intp]) -> Folds:
        """The same folds in the row numbers of a larger table, of which these are the rows."""
        return replace(self, rows=np.asarray(rows, np.intp))

    def save(self, folder: Path) -> None:
        """Write the folds as .npy files and a little JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "blocks.npy", self.blocks)
        for name, array in (("ranks", self.ranks), ("rows", self.rows)):
            if array is not None:
                np.save(folder / f"{name}.npy", array)
        state = {"k": self.k, "repeats": self.repeats, "embargo": self.embargo}
        (folder / "folds.json").write_text(json.dumps(state), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Folds:
        """Read what :meth:`save` wrote."""
        state = json.loads((folder / "folds.json").read_text(encoding="utf-8"))

        def array(name: str) -> NDArray[Any] | None:
            path = folder / f"{name}.npy"
            return np.load(path, allow_pickle=False) if path.exists() else None

        blocks = np.load(folder / "blocks.npy", allow_pickle=False)
        return cls(state["k"], state["repeats"], blocks, array("ranks"), state["embargo"], array("rows"))


def make_folds(
    table: Table,
    *,
    k: int,
    repeats: int = 1,
    seed: int = 0,
    groups: pd.Series | NDArray[Any] | None = None,
    times: pd.Series | NDArray[Any] | None = None,
    embargo: int = 0,
) -> Folds:
    """Split a table for cross-validation; the same seed gives the same folds.

    Rows are shuffled and dealt evenly to k folds, class by class, or slice by slice of the
    target for a regression. With groups, the rows of a group stay together, and there are at
    most as many folds as groups. With times, each fold validates on the block of rows that
    comes after its training rows; equal times are never on both sides, and there is one repeat.

    Args:
        table: r rows.
        k: folds.
        repeats: how often.
        seed: of the shuffles.
        groups: a group per row.
        times: a time per row: dates or numbers.
        embargo: training rows left out before each validation block.

    Raises:
        InputError: the table, its groups or its times cannot be split so.
    """
    if k < 2 or repeats < 1 or len(table) < 2:
        raise InputError(
            "a split needs at least 2 folds, 1 repeat and 2 rows; got "
            f"{k} folds, {repeats} repeats and {len(table)} rows"
        )
    if groups is not None and times is not None:
        raise InputError("a split is by group or by time, not both: give one of the two columns")
    if embargo and times is None:
        raise InputError(f"an embargo is a gap in time; got {embargo} rows and no time column")
    if times is not None:
        return _forward(time_order(times), k=k, embargo=embargo)
    strata = _strata(table, k)
    findings = []
    if groups is None:
        k = min(k, len(table))
        deals = [_deal(strata, k, np.random.default_rng([seed, i])) for i in range(repeats)]
        findings += _rare_classes(table, k)
    else:
        codes = group_codes(groups)
        wanted, k = k, min(k, int(codes.max()) + 1)
        deals = [deal_groups(codes, strata, k, np.random.default_rng([seed, i])) for i in range(repeats)]
        if k < wanted:
            message = f"there are {k} folds instead of {wanted}, as there are {k} groups"
            findings.append(Finding("few-groups", message))
    return Folds(k, repeats, np.stack(deals).astype(np.int16), findings=tuple(findings))


def _strata(table: Table, k: int) -> NDArray[np.int64]:
    """What is to be spread evenly over the folds: classes, or slices of the target."""
    if table.classes:
        return np.asarray(table.target, np.int64)
    rows = len(table)
    slices = max(1, min(_SLICES, rows // k))
    rank = np.empty(rows, np.int64)
    rank[np.argsort(table.target, kind="stable")] = np.arange(rows)
    return rank * slices // rows


def _deal(strata: NDArray[np.int64], k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A fold per row: each stratum is shuffled and dealt on where the one before ended."""
    order = np.lexsort((rng.random(len(strata)), strata))
    fold = np.empty(len(strata), np.int64)
    fold[order] = np.arange(len(strata)) % k
    return rng.permutation(k)[fold]


def _rare_classes(table: Table, k: int) -> list[Finding]:
    if not table.classes:
        return []
    counts = np.bincount(table.target.astype(np.int64), minlength=len(table.classes))
    rare = [table.classes[i] for i in np.flatnonzero(counts < k)]
    if not rare:
        return []
    message = f"classes with fewer rows than the {k} folds are missing from some: {listed(rare)}"
    return [Finding("rare-class", message)]


def _forward(ranks: NDArray[np.int64], *, k: int, embargo: int) -> Folds:
    times = int(ranks.max()) + 1
    wanted, k = k, min(k, times - 1)
    # The block of a time is that of the last of its rows, so that equal times stay together.
    ends = np.cumsum(np.bincount(ranks, minlength=times))
    block_of = np.ceil(ends * (k + 1) / len(ranks)).astype(np.int64) - 1
    # A crowded time can leave blocks empty.
    distinct, block_of = np.unique(block_of, return_inverse=True)
    k = len(distinct) - 1
    if not k:
        block_of, k = np.minimum(np.arange(times), 1), 1
    blocks = block_of[ranks].astype(np.int16)[None]
    findings: tuple[Finding, ...] = ()
    if k < wanted:
        message = f"there are {k} folds instead of {wanted}, as many rows share a time"
        findings = (Finding("few-times", message),)
    return Folds(k, 1, blocks, ranks, _checked_embargo(blocks, embargo), findings=findings)


def _checked_embargo(blocks: NDArray[np.int16], embargo: int) -> int:
    first = int((blocks == 0).sum())
    if not 0 <= embargo < first:
        raise InputError(
            f"the embargo must leave training rows: from 0 to {first - 1} rows here, as the first "
            f"block has {first}; got {embargo}: choose a smaller one"
        )
    return embargo
