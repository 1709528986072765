"""How a table is evaluated: folds, repeats, and how many rows the search looks at."""

from __future__ import annotations

from dataclasses import dataclass

FOLDS = 5
SMALL = 1_000  # rows below which folds are repeated
REPEATS = 4
# Above this the search looks at a sample and the best models are refitted on more.
SEARCH_CELLS = 4_000_000
MIN_SEARCH_ROWS = 20_000


@dataclass(frozen=True)
class Plan:
    """How configs are evaluated.

    Attributes:
        folds: of cross-validation. Large tables rarely get beyond the first, a holdout of a fifth.
        repeats: reshuffles of the folds that the best configs may go through.
        search_rows: rows that take part in the folds.
    """

    folds: int
    repeats: int
    search_rows: int


def make_plan(*, rows: int, columns: int, split_by: str | None) -> Plan:
    """The plan for a table.

    Args:
        rows: of the table.
        columns: of the encoded table.
        split_by: "group", "time" or None.
    """
    search_rows = min(rows, max(MIN_SEARCH_ROWS, SEARCH_CELLS // max(1, columns)))
    repeats = REPEATS if rows < SMALL and split_by != "time" else 1
    return Plan(FOLDS, repeats, search_rows)
