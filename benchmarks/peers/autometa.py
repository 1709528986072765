"""This project, by its command line, from a table to a CSV of predictions.

The tables are Parquet, since the other systems are told which columns are categories, too.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from benchmarks.peers.contract import TARGET, Job, Predict, Predictions, run

LAUNCHER = Path(__file__).resolve().parents[2] / "cli.py"


def call(*arguments: str) -> None:
    """Run the command line of this checkout; where it fails, its own message stays the last one in the log."""
    code = subprocess.run([sys.executable, str(LAUNCHER), *arguments], check=False).returncode
    if code:
        sys.exit(code)


def fit(job: Job, *, policy: str = "portfolio") -> Predict:
    """Search with the time limit, leaving a run folder."""
    scratch = Path(tempfile.gettempdir())  # not in the job's folder, whose size is what the system leaves
    table, found = scratch / "train.parquet", job.folder / "model"
    job.train.assign(**{TARGET: job.target}).to_parquet(table)
    task = "classification" if job.classification else "regression"
    limits = ["--time", f"{job.time_limit:g}s", "--workers", str(job.workers), "--seed", str(job.seed)]
    options = ["--target", TARGET, "--task", task, *limits, "--policy", policy, "--quiet", "--no-learn"]
    call("search", str(table), *options, "--out", str(found))

    def predict(frame: pd.DataFrame) -> Predictions:
        test, out = scratch / "test.parquet", scratch / "found.csv"
        frame.to_parquet(test)
        proba = ["--proba"] if job.classification else []
        call("predict", str(found), str(test), *proba, "--out", str(out))
        read = pd.read_csv(out)
        if not job.classification:
            return Predictions(read["prediction"].to_numpy(), None)
        columns = [name for name in read if name.startswith("proba_")]
        return Predictions(read[columns].to_numpy(), [name.removeprefix("proba_") for name in columns])

    return predict


if __name__ == "__main__":
    run(fit)
