"""One recorded evaluation, as a worker does it: a config on the folds of a table, and on its test rows."""

from __future__ import annotations

import json
import math
import resource
import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autometa.tables.metrics import resolve_metric
from autometa.tables.objective import Evaluation, evaluate
from autometa.tables.splits import Folds
from autometa.tables.table import Table
from autometa.workers.pool import OUTLASTED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.space import Config

CURVE_POINTS = 40


@dataclass(frozen=True)
class Job:
    """One evaluation to do.

    Attributes:
        folder: of the prepared table; see :func:`autometa.records.prepared.prepare`.
        task: the table's name.
        config_id, origin, config: what is evaluated.
        budget: share of the training rows.
        folds: how many of the folds, from the first.
        seed: of everything random.
        seconds: a fit stops itself after so long and keeps its best state.
        memory: bytes that the worker may use; None for no limit.
        predictions: folder that keeps the predictions, or None.
    """

    folder: str
    task: str
    config_id: str
    origin: str
    config: Config
    budget: float
    folds: int
    seed: int
    seconds: float
    memory: int | None = None
    predictions: str | None = None

    @property
    def kill_after(self) -> float:
        """Seconds after which the worker is killed: what does not stop itself hangs."""
        return self.folds * (1.5 * self.seconds + 3.0) + 5.0


@dataclass(frozen=True)
class Record:
    """What is recorded of an evaluation.

    Attributes:
        budget: share of the training rows.
        fold_losses: of the validation rows of each fold.
        loss: their mean; NaN where it failed.
        test_loss: of the mean prediction of the fold models for the test rows.
        fit_s, predict_s: of all folds together, by the clock.
        cpu_s: processor seconds of both, which a busy machine does not stretch.
        peak_mb: of the worker so far, an upper bound.
        state: "complete", "timed_out" (the limit ended a fit, the losses are of its best state) or "failed".
        curve: validation loss of the last fold's fit by round or epoch, thinned.
        rounds: how many there were.
    """

    task: str
    config_id: str
    origin: str
    config: Config
    budget: float
    fold_losses: tuple[float, ...] = ()
    loss: float = math.nan
    test_loss: float = math.nan
    fit_s: float = math.nan
    predict_s: float = math.nan
    cpu_s: float = math.nan
    peak_mb: float = math.nan
    state: str = "failed"
    error: str = ""
    curve: tuple[float, ...] = ()
    rounds: int = 0

    @classmethod
    def failed(cls, job: Job, error: str) -> Record:
        """Of an evaluation that gave nothing."""
        state = "timed_out" if OUTLASTED in error else "failed"
        return cls(job.task, job.config_id, job.origin, job.config, job.budget, state=state, error=error)


@lru_cache(maxsize=2)
def _inputs(folder: str) -> tuple[Table, Table, Folds, str]:
    path = Path(folder)
    metric = json.loads((path / "task.json").read_text(encoding="utf-8"))["metric"]
    return Table.load(path / "table"), Table.load(path / "test"), Folds.load(path / "folds"), metric


def run(job: Job) -> Record:
    """Do an evaluation. What goes wrong inside is recorded, not raised."""
    try:
        return _run(job)
    except MemoryError:
        return Record.failed(job, "out of memory")
    except Exception as error:  # noqa: BLE001 (a learner may raise anything; the recording goes on)
        return Record.failed(job, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")


def _run(job: Job) -> Record:
    table, test, folds, metric_name = _inputs(job.folder)
    metric = resolve_metric(metric_name, table.kind)
    found: list[Evaluation] = []
    begun = time.process_time()
    for fold in range(job.folds):
        train, valid = folds.pair(fold)
        found.append(
            evaluate(
                job.config,
                table,
                train,
                valid,
                metric,
                seed=job.seed * 1009 + fold,
                budget=job.budget,
                seconds=job.seconds,
            )
        )
    cpu_s = time.process_time() - begun
    on_test = np.stack([e.model.predict(test.features) for e in found]).mean(axis=0)
    if job.predictions is not None:
        _keep(Path(job.predictions), job, found, on_test)
    curve = found[-1].curve
    losses = tuple(float(e.loss) for e in found)
    return Record(
        job.task,
        job.config_id,
        job.origin,
        job.config,
        job.budget,
        fold_losses=losses,
        loss=float(np.nanmean(losses)) if not np.isnan(losses).all() else math.nan,
        test_loss=float(metric.loss(test.target, on_test, test.weights)),
        fit_s=sum(e.seconds for e in found),
        predict_s=sum(e.predict_seconds for e in found),
        cpu_s=cpu_s,
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        state="timed_out" if any(e.stopped_by_clock for e in found) else "complete",
        curve=tuple(curve[i] for i in np.unique(np.linspace(0, len(curve) - 1, CURVE_POINTS).astype(int)))
        if curve
        else (),
        rounds=len(curve),
    )


def _keep(folder: Path, job: Job, found: list[Evaluation], on_test: NDArray[np.floating]) -> None:
    """Predictions of the validation rows, fold after fold, and of the test rows, in half precision."""
    goal = folder / job.task / f"{job.config_id}-{job.budget:.3f}.npz"
    goal.parent.mkdir(parents=True, exist_ok=True)
    beside = goal.with_name("new-" + goal.name)
    out_of_fold = np.concatenate([e.predictions for e in found]).astype(np.float16)
    np.savez_compressed(beside, out_of_fold=out_of_fold, test=on_test.astype(np.float16))
    beside.replace(goal)


def to_row(record: Record) -> dict[str, object]:
    """A record as plain JSON values; NaN becomes None."""
    row = asdict(record)
    for name, value in row.items():
        if isinstance(value, float):
            row[name] = None if math.isnan(value) else value
        elif isinstance(value, tuple):
            row[name] = [None if math.isnan(v) else v for v in value]
    return row
