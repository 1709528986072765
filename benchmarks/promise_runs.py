"""What the checks of the promises share: starting the command line, small tables, and comparing two runs."""

import contextlib
import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import autometa

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
TIMES = ["seconds", "elapsed"]  # columns of the leaderboard that no two runs share
QUICK = """\
# Learners that fit a small table in milliseconds: what is checked is the search, not the models.
extends = "tabular"

[parameters.algorithm]
choices = ["linear", "nearest_neighbours", "lightgbm", "extra_trees"]
"""


def command(*arguments: object) -> list[str]:
    """`autometa ARGUMENTS`, by this interpreter."""
    return [sys.executable, "-m", "autometa", *map(str, arguments)]


def environment() -> dict[str, str]:
    """This process's, with the checkout in front of every other autometa, one thread per fit, and nothing learned."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "AUTOMETA_LEARN": "0"}


@contextlib.contextmanager
def spawn(arguments: list[str], *, log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """Start a command in a group of its own, which is over after the block; both streams go to the end of a file."""
    with log.open("ab") as out:
        process = subprocess.Popen(arguments, env=environment(), stdout=out, stderr=out, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()  # a search ends its workers, and they end themselves when it is killed
        process.wait()


def call(arguments: list[str], *, log: Path) -> None:
    """Run a command to its end.

    Raises:
        SystemExit: it failed.
    """
    with spawn(arguments, log=log) as process:
        code = process.wait()
    if code:
        raise SystemExit(f"{' '.join(arguments)} failed with {code}:\n{log.read_text(errors='replace')}")


def keys(out: Path, *names: str) -> set[tuple[str, ...]]:
    """What the rows of a result file say in some columns."""
    if not out.exists():
        return set()
    with out.open(newline="") as lines:
        return {tuple(row[name] for name in names) for row in csv.DictReader(lines)}


def example_table() -> Path:
    """A table of 569 rows that every checkout has."""
    return ROOT / "examples" / "data" / "tumours.csv"


def leaderboard(run: Path) -> pd.DataFrame:
    """What must be the same in equal runs, to the last digit: everything but the times."""
    return pd.read_csv(run / "leaderboard.csv", dtype=str, keep_default_na=False).drop(columns=TIMES, errors="ignore")


def predictions(run: Path, table: Path) -> "np.ndarray[Any, Any]":
    """What the model of a run folder predicts, read as a user would."""
    result = autometa.load(run)
    return result.predict_proba(table) if result.classes else result.predict(table)


def difference(run: Path, reference: Path, table: Path) -> str:
    """In what two runs differ: nothing, or the first trial or prediction that does."""
    ours, theirs = leaderboard(run), leaderboard(reference)
    if len(ours) != len(theirs):
        return f"{len(ours)} trials, not {len(theirs)}"
    if list(ours) != list(theirs):
        return f"columns {list(ours)}, not {list(theirs)}"
    places, columns = np.nonzero((ours != theirs).to_numpy())
    if len(places):
        place, column = places[0], ours.columns[columns[0]]
        return f"trial {ours.trial[place]}: {column} is {ours[column][place]}, not {theirs[column][place]}"
    if not np.array_equal(predictions(run, table), predictions(reference, table)):
        return "predictions differ"
    return ""
