"""Fitting the best models again on more rows than the search looked at.

Only for tables that were searched on a sample: on smaller ones the models of all folds are blended,
which costs nothing, as they are there already. A refit is validated on
the rows of fold 0, as before, so the ensemble's weights are chosen anew on equal terms.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from autometa.search.schedule import HANG, Step
from autometa.search.work import fold_files

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.search.records import FoldScore, TrialRecord
    from autometa.search.run import Run

SHARE = 0.3  # of the whole time
WORTH_IT = 1.3  # times the rows; a refit on fewer is not worth its time
COPIES = 6  # of the training rows that a fit holds in memory, at most


def refit_seconds(run: Run) -> float:
    """Seconds to keep for refits: none where the search looks at every row."""
    if not _wanted(run) or run.settings.time_limit is None:
        return 0.0
    return SHARE * run.settings.time_limit


def _wanted(run: Run) -> bool:
    """Whether there are more rows, which may stand beside the validation rows.

    Of a split by group or by time it is not known which of the rows that were left out may.
    """
    return run.plan.search_rows < len(run.table) and not (run.settings.group or run.settings.time_column)


def refit(run: Run) -> None:
    """Fit the heaviest members of the ensemble again, one per worker."""
    if not _wanted(run) or run.best.best is None:
        return
    run.watcher.update(run.status((), phase="refitting"))
    seconds = run.clock.left - run.reserve.finishing
    limit = HANG if math.isinf(seconds) else seconds
    by_number = {r.number: r for r in run.board.records}
    members = [by_number[n] for n, _ in run.best.best.members][: run.executor.slots]
    index = run.plan.folds * run.plan.repeats
    submitted = ended = 0
    for record in members:
        rows = _rows(run, record, limit)
        if len(rows) < WORTH_IT * len(run.folds.pair(0)[0]):
            continue
        path = run.folder.work / f"refit_{record.number}.npy"
        np.save(path, rows)
        job = run.job(Step(record, index, None if math.isinf(seconds) else 0.8 * limit))
        run.executor.submit(replace(job, rows=str(path), kill_after=limit))
        submitted += 1
    while ended < submitted and run.clock.left > run.reserve.finishing:
        for outcome in run.executor.wait(0.25):
            ended += 1
            if outcome.score is not None:
                _take(run, by_number[outcome.trial], index, outcome.score)
        run.watcher.update(run.status((), phase="refitting"))
    run.executor.stop()
    if any(r.refit is not None for r in run.board.records) and run.best.update(run.board.records):
        run.write()


def _rows(run: Run, record: TrialRecord, seconds: float) -> NDArray[np.intp]:
    """As many training rows as time and memory allow, none of them for validation."""
    train, valid = run.folds.pair(0)
    per_row = record.folds[0].seconds / len(train)
    by_time = math.inf if run.settings.time_limit is None else 0.7 * seconds / max(per_row, 1e-9)
    features = run.table.features
    bytes_per_row = features.numbers.shape[1] * features.numbers.itemsize
    bytes_per_row += features.categories.shape[1] * 8 + 16
    memory = run.executor.memory or run.settings.memory / run.settings.workers
    by_memory = 0.7 * memory / (COPIES * bytes_per_row)
    rng = np.random.default_rng(run.settings.seed)
    others = np.setdiff1d(np.arange(len(run.table)), valid, assume_unique=True)
    wanted = int(min(len(others), by_time, by_memory))
    if wanted >= len(others):
        return others
    return np.sort(rng.permutation(others)[:wanted])


def _take(run: Run, record: TrialRecord, index: int, score: FoldScore) -> None:
    record.folds[index] = score
    record.refit = index
    run.best.replace(record.number, fold_files(run.folder.trial(record.number), index)[1])
