"""One fit, as a worker does it: load the table once, evaluate one fold, leave the results on disk.

The results of fold f of trial n stand in work/trials/n: the model (fold_f/), its predictions of the
validation rows (fold_f.npy) and the score (fold_f.json). The score is written last, so a fold with a
score is whole, whenever the worker or the machine was killed.
"""

from __future__ import annotations

import json
import resource
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autometa.search.records import FoldScore
from autometa.search.run_folder import trial_folder
from autometa.tables.metrics import resolve_metric
from autometa.tables.objective import evaluate
from autometa.tables.splits import Folds
from autometa.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from autometa.space import Config

INPUTS = ("table", "folds")  # folders of work/ that every fit reads


@dataclass(frozen=True)
class FitJob:
    """One fit to do.

    Attributes:
        work: the work/ folder of the run.
        trial: number of the trial.
        fold: index into the run's folds.
        config: what to fit.
        metric: name of the metric.
        seed: randomness of the run; each fold derives its own from it.
        seconds: the fit stops itself after so long and keeps its best state; None for no limit.
        kill_after: the worker is killed after so long; None for never.
        memory: bytes that the worker may use; None for no limit.
        rows: file of training rows for a refit; it is validated on the rows of fold 0, and ``fold``
            only says where the results go.
        threads: that the fit may use.
        gpus: of the machine that were given to the fit, or the share of one; 0 for none.
    """

    work: str
    trial: int
    fold: int
    config: Config
    metric: str
    seed: int
    seconds: float | None = None
    kill_after: float | None = None
    memory: int | None = None
    rows: str | None = None
    threads: int = 1
    gpus: float = 0.0


@dataclass(frozen=True)
class FitOutcome:
    """What became of a fit: a score, or the reason why there is none."""

    trial: int
    fold: int
    score: FoldScore | None
    error: str = ""


def fold_files(trial_folder: Path, fold: int) -> tuple[Path, Path, Path]:
    """Model folder, predictions and score of one fold."""
    stem = trial_folder / f"fold_{fold}"
    return stem, stem.with_suffix(".npy"), stem.with_suffix(".json")


def read_score(trial_folder: Path, fold: int) -> FoldScore | None:
    """The score of a fold that was finished, else None."""
    _, _, score = fold_files(trial_folder, fold)
    if not score.exists():
        return None
    return FoldScore(**json.loads(score.read_text(encoding="utf-8")))


@lru_cache(maxsize=1)
def _inputs(work: str) -> tuple[Table, Folds]:
    table, folds = (Path(work) / name for name in INPUTS)
    return Table.load(table), Folds.load(folds)


def run_fit(job: FitJob) -> FitOutcome:
    """Do one fit. What goes wrong inside is an outcome, not an exception."""
    try:
        return FitOutcome(job.trial, job.fold, _fit(job))
    except MemoryError:
        return FitOutcome(job.trial, job.fold, None, "out of memory")
    except Exception as error:  # noqa: BLE001 (a learner may raise anything; the search goes on)
        text = " ".join(str(error).split())[:300]
        return FitOutcome(job.trial, job.fold, None, f"{type(error).__name__}: {text}")


def _fit(job: FitJob) -> FoldScore:
    table, folds = _inputs(job.work)
    if job.rows is None:
        train, valid = folds.pair(job.fold)
    else:
        train, valid = np.load(job.rows, allow_pickle=False), folds.pair(0)[1]
    result = evaluate(
        job.config,
        table,
        train,
        valid,
        resolve_metric(job.metric, table.kind),
        seed=job.seed * 1009 + job.fold,
        seconds=job.seconds,
        threads=job.threads,
        gpus=job.gpus,
    )
    if not np.isfinite(result.predictions).all():
        raise ValueError("the fitted model predicts values that are not finite")
    score = FoldScore(
        loss=result.loss,
        seconds=result.seconds,
        predict_seconds=result.predict_seconds,
        rounds=len(result.curve),
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        cut_short=result.stopped_by_clock,
    )
    folder = trial_folder(Path(job.work), job.trial)
    folder.mkdir(parents=True, exist_ok=True)
    model, predictions, score_file = fold_files(folder, job.fold)
    result.model.save(model)
    replace_file(predictions, lambda path: np.save(path, result.predictions))
    write_score(score_file, score)
    return score


def write_score(path: Path, score: FoldScore) -> None:
    """Write the score of a fold, whole or not at all."""
    replace_file(path, lambda beside: beside.write_text(json.dumps(asdict(score)), encoding="utf-8"))


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Have a file written beside its place and put there in one step."""
    beside = path.with_name("new-" + path.name)
    write(beside)
    beside.replace(path)
