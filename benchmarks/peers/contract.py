"""What a peer script is given and what it must hand back.

The orchestrator starts ``python -m benchmarks.peers.NAME job.json``. The job names a training and a test
table (Parquet, the test part without its target), and the script leaves ``predictions.csv`` in the job's
folder: one row per test row, in order, with one column ``proba_CLASS`` per class, or ``prediction``.
Only pandas is needed here, so that every peer's environment can import it.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

STARTED = "BENCHMARK_STARTED"
TARGET = "target"


@dataclass(frozen=True)
class Job:
    """One fit on one table.

    Attributes:
        train: features of the training part (r rows, f columns), categories as pandas categories.
        target: strings for classification, floats for regression (r rows).
        test: features of the test part.
        task: "binary", "multiclass" or "regression".
        metric: "auc", "log_loss" or "rmse".
        time_limit: seconds the system may take.
        seed: of everything random.
        workers: cores the system may use.
        started: clock time (time.time) at which the process was started.
        folder: where it may write, and where the predictions go.
    """

    train: pd.DataFrame
    target: "pd.Series[Any]"
    test: pd.DataFrame
    task: str
    metric: str
    time_limit: float
    seed: int
    workers: int
    started: float
    folder: Path

    @property
    def classification(self) -> bool:
        """Whether the target is a class."""
        return self.task != "regression"

    @property
    def categories(self) -> list[str]:
        """Names of the categorical columns."""
        return [name for name, kind in self.train.dtypes.items() if str(kind) == "category"]

    def left(self) -> float:
        """Seconds of the time limit that are left."""
        return self.started + self.time_limit - time.time()


@dataclass(frozen=True)
class Predictions:
    """Predictions of the test part: ``values`` is (rows, classes), or (rows,) where classes is None."""

    values: "np.ndarray[Any, Any]"
    classes: list[str] | None


Predict = Callable[[pd.DataFrame], Predictions]


def read_job(path: Path) -> Job:
    """Read a job file and the tables it names."""
    job = json.loads(path.read_text())
    train = pd.read_parquet(job["train"])
    target = train.pop(TARGET)
    classification = job["task"] != "regression"
    return Job(
        train=train,
        target=target.astype(str) if classification else target.astype(float),
        test=pd.read_parquet(job["test"]),
        task=job["task"],
        metric=job["metric"],
        time_limit=job["time_limit"],
        seed=job["seed"],
        workers=job["workers"],
        started=float(os.environ.get(STARTED, time.time())),
        folder=path.parent,
    )


def run(fit: Callable[[Job], Predict]) -> None:
    """Run a peer: fit, predict the test part, write the predictions and how long each took."""
    job = read_job(Path(sys.argv[1]))
    predict = fit(job)
    fitted = time.time()
    found = predict(job.test)
    predicted = time.time()
    columns = ["prediction"] if found.classes is None else [f"proba_{name}" for name in found.classes]
    values = np.asarray(found.values, dtype=float).reshape(len(job.test), len(columns))
    pd.DataFrame(values, columns=columns).to_csv(job.folder / "predictions.csv", index=False)
    times = {"fit_s": fitted - job.started, "predict_s": predicted - fitted}
    (job.folder / "times.json").write_text(json.dumps(times))
