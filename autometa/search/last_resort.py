"""A model when the time was too short for any: the cheapest learner on few rows, in this very process."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from autometa.parameters import Categorical
from autometa.search.records import LAST_RESORT, TrialRecord
from autometa.search.schedule import Step
from autometa.search.work import fold_files, run_fit
from autometa.workers.pool import OUTLASTED

if TYPE_CHECKING:
    from autometa.search.run import Run

CHEAPEST_FIRST = ("linear", "nearest_neighbours", "lightgbm", "xgboost", "extra_trees", "random_forest", "catboost")
MOST_ROWS = 2_000
OUT_OF_TIME = "out of time"


def last_resort(run: Run) -> None:
    """Fit one fold of one cheap config where a search by the clock ended before its first fold.

    A run all of whose trials failed for other reasons is left alone: those are what its user has to hear.
    """
    records = run.board.records
    if not run.settings.by_clock or run.best.best is not None:
        return
    if records and not any(r.error.startswith(OUT_OF_TIME) or OUTLASTED in r.error for r in records):
        return
    algorithm = run.space["algorithm"]
    assert isinstance(algorithm, Categorical)
    cheapest = next((a for a in CHEAPEST_FIRST if a in algorithm.choices), algorithm.default)
    config = run.space.complete({"algorithm": cheapest})
    record = TrialRecord(len(records), config, LAST_RESORT, run.plan.folds)
    run.journal.propose(record, elapsed=run.clock.elapsed)
    records.append(record)
    train, _ = run.folds.pair(0)
    rows = np.sort(np.random.default_rng(run.settings.seed).permutation(train)[:MOST_ROWS])
    path = run.folder.work / "last_resort.npy"
    np.save(path, rows)
    outcome = run_fit(replace(run.job(Step(record, 0, max(0.5, run.clock.left - 1.0))), rows=str(path)))
    if outcome.score is None:
        record.stage, record.error = "failed", outcome.error
    else:
        record.folds[0] = outcome.score
        record.stage = "pruned"
        record.error = f"{OUT_OF_TIME} for anything but one fold on {len(rows):,} rows"
        run.best.take(record.number, 0, fold_files(run.folder.trial(record.number), 0)[1])
    record.elapsed = run.clock.elapsed
    run.journal.finish(record)
    if run.best.update(records):
        run.write()
