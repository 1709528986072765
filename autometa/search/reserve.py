"""The seconds that a search keeps for what comes after its last fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from autometa.search.refit import refit_seconds

if TYPE_CHECKING:
    from autometa.search.run import Run
    from autometa.search.settings import Settings

FINISHING = 3.5  # that the last ensemble, its files and the report are expected to take
READING = 0.02  # that reading one fold model takes


class Reserve:
    """What a run keeps for its last steps; it grows with the ensemble.

    Args:
        run: of which it is.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._refitting = refit_seconds(run)
        self._test_rows = _test_rows(run.settings, run.content["rows_total"])

    @property
    def whole(self) -> float:
        """Seconds for all that comes after the search."""
        return self.finishing + self._refitting

    @property
    def finishing(self) -> float:
        """Seconds for all that comes after the refits."""
        leaving = self._run.executor.parting + 1.5 * self._run.copy.seconds
        return FINISHING + leaving + 1.5 * self._run.best.seconds + self._testing

    @property
    def _testing(self) -> float:
        """Seconds that reading and predicting the labelled test rows will take, judged by the training rows."""
        run = self._run
        if not self._test_rows or run.best.best is None:
            return 0.0
        reading = self._test_rows / run.content["rows_total"] * run.content["reading_seconds"]
        members = [run.board.records[number] for number, _ in run.best.best.members]
        validating = sum(f.predict_seconds for record in members for f in record.folds.values())
        loading = READING * sum(len(record.models) for record in members)
        return float(reading + loading + self._test_rows / len(run.folds.pair(0)[1]) * validating)


def _test_rows(settings: Settings, rows: int) -> float:
    """Rows of the labelled test file, judged by its size beside that of the training file; 0 without one."""
    if settings.test is None:
        return 0.0
    train, test = Path(settings.data), Path(settings.test)
    if not (train.is_file() and test.is_file() and train.suffixes == test.suffixes):
        return float(rows)
    return rows * test.stat().st_size / max(1, train.stat().st_size)
