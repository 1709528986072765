"""The end-to-end comparison: one row per (system, version, table, split, time), each fit in a fresh process.

    python -m benchmarks.end_to_end --tables dev12 --systems plain,catboost --time 60 --out rows.csv

Rows that the file already has are never run again, so a stopped run goes on where it was; several runs may
write to one file. The data folder (its ``tabular`` part: Parquet tables, index.csv and lists of names) is
given by ``--data`` or the environment variable AUTOMETA_DATA. `python -m benchmarks.report` sums the rows up.
"""

import argparse
import contextlib
import csv
import datetime as dt
import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.measure import watch
from benchmarks.peers.contract import STARTED, TARGET
from benchmarks.scoring import METRICS, constant_score, score, split

ROOT = Path(__file__).resolve().parent.parent
CORES = 2
KILL_FACTOR, KILL_FLOOR = 5, 300  # a row is killed at max(factor * time limit, floor) seconds


@dataclass(frozen=True)
class System:
    """A system to compare; its module in benchmarks.peers has its name.

    Attributes:
        distributions: whose versions make up the version of a row.
        single_thread: it runs processes or threads of its own, so each is held to one thread.
    """

    distributions: tuple[str, ...] = ()
    single_thread: bool = False


SYSTEMS = {
    "autometa": System(single_thread=True),
    "autometa_learned": System(single_thread=True),
    "autometa_tpe": System(single_thread=True),
    "plain": System(single_thread=True),
    "catboost": System(("catboost",)),
    "lightgbm": System(("lightgbm",)),
    "optuna_tpe_lightgbm": System(("optuna", "lightgbm"), single_thread=True),
    "flaml": System(("flaml",)),
    "autogluon_medium": System(("autogluon.tabular",)),
    "autogluon_best": System(("autogluon.tabular",)),
}
# The plain recipe has a version of its own: raise it whenever its list or a setting changes.
PLAIN_VERSION = "1"


@dataclass(frozen=True)
class Row:
    """One row of the result file; an empty score goes with a reason."""

    system: str
    version: str
    table: str
    family: str
    split: int
    time_limit: float
    metric: str
    score: float | None
    constant_score: float
    failed: int
    reason: str
    wall_s: float
    fit_s: float | None
    predict_s: float | None
    cpu_s: float
    peak_mb: float
    disk_mb: float
    date: str


Key = tuple[str, str, str, int, float]


def done(out: Path) -> set[Key]:
    """Keys of the rows a result file has."""
    if not out.exists():
        return set()
    with out.open(newline="") as lines:
        return {
            (row["system"], row["version"], row["table"], int(row["split"]), float(row["time_limit"]))
            for row in csv.DictReader(lines)
        }


def append(out: Path, row: Any) -> None:
    """Append a row, a dataclass, in one write, after a head line if the file is new."""
    out.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(asdict(row)), lineterminator="\n")
    if not out.exists():
        writer.writeheader()
    writer.writerow(asdict(row))
    with out.open("a", newline="") as lines:
        lines.write(text.getvalue())


@contextlib.contextmanager
def exclusive(path: Path | None) -> Iterator[None]:
    """Hold the machine: an exclusive lock on a file, where one is named."""
    if path is None:
        yield
        return
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def version_of(name: str, python: str) -> str:
    """Version of a system: of its distributions in an interpreter's environment, or of this checkout's code."""
    if name == "plain":
        return PLAIN_VERSION
    if name.startswith("autometa"):
        # Only a change of what is searched makes new rows; text and benchmarks may change freely.
        trees = ["autometa", "search_spaces"]
        command = ["git", "-C", str(ROOT), "status", "--porcelain", "--", *trees]
        if subprocess.run(command, capture_output=True, check=True).stdout:
            raise SystemExit(
                "the version of autometa is that of committed code, and autometa/ or search_spaces/ has changes: "
                "commit them, or give --version autometa=TEXT"
            )
        command = ["git", "-C", str(ROOT), "ls-tree", "--object-only", "--abbrev=8", "HEAD", *trees]
    else:
        code = "import sys, importlib.metadata as m; print('+'.join(map(m.version, sys.argv[1:])))"
        command = [python, "-c", code, *SYSTEMS[name].distributions]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit(
            f"the version of {name} must be known, and {python} does not know it: "
            f"name the interpreter that has it with --python {name}=PATH, or give --version {name}=TEXT"
        )
    return "+".join(found.stdout.split())


def size_mb(folder: Path) -> float:
    """Megabytes of all files under a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def run_row(name: str, version: str, python: str, table: str, options: argparse.Namespace, seed: int) -> Row:
    """Fit a system on a table's training part and score what it predicts for the rest."""
    card = pd.read_csv(options.data / "tabular" / "index.csv", index_col="name").loc[table]
    task, metric = card["task"], METRICS[card["task"]]
    train, test = split(pd.read_parquet(options.data / "tabular" / f"{table}.parquet"), task=task, seed=seed)
    with tempfile.TemporaryDirectory(prefix="row-", ignore_cleanup_errors=True) as place:
        base = Path(place)
        folder, scratch = base / "out", base / "tmp"
        folder.mkdir()
        scratch.mkdir()
        train.to_parquet(base / "train.parquet")
        test.drop(columns=TARGET).to_parquet(base / "test.parquet")
        job = {
            "train": str(base / "train.parquet"),
            "test": str(base / "test.parquet"),
            "task": task,
            "metric": metric,
            "time_limit": options.time,
            "seed": seed,
            "workers": CORES,
        }
        (folder / "job.json").write_text(json.dumps(job))
        env = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
        env |= {"PYTHONPATH": str(ROOT), "TMPDIR": str(scratch), STARTED: str(time.time())}
        if SYSTEMS[name].single_thread:
            env["OMP_NUM_THREADS"] = "1"
        usage = watch(
            [python, "-m", f"benchmarks.peers.{name}", str(folder / "job.json")],
            env=env,
            folder=folder,
            log=base / "log.txt",
            limit=max(KILL_FACTOR * options.time, KILL_FLOOR),
            cores=CORES,
        )
        found, reason = None, ""
        if usage.code is None:
            reason = "not finished"
        elif usage.code:
            lines = (base / "log.txt").read_text(errors="replace").strip().splitlines()
            reason = f"exit {usage.code}: {lines[-1][:200] if lines else 'no message'}"
        else:
            try:
                found = score(test[TARGET], pd.read_csv(folder / "predictions.csv"), metric)
            except (OSError, ValueError, KeyError) as error:
                reason = f"{type(error).__name__}: {error}"[:200]
        times = folder / "times.json"
        took = json.loads(times.read_text()) if times.exists() else {}
        if options.logs:
            options.logs.mkdir(parents=True, exist_ok=True)
            shutil.copy(base / "log.txt", options.logs / f"{name}-{table}-{seed}-{options.time:g}.log")
        return Row(
            system=name,
            version=version,
            table=table,
            family=card["family"],
            split=seed,
            time_limit=options.time,
            metric=metric,
            score=found,
            constant_score=constant_score(train[TARGET], test[TARGET], metric),
            failed=int(found is None),
            reason=reason,
            wall_s=round(usage.wall_s, 2),
            fit_s=round(took["fit_s"], 2) if took else None,
            predict_s=round(took["predict_s"], 2) if took else None,
            cpu_s=round(usage.cpu_s, 2),
            peak_mb=round(usage.peak_mb, 1),
            disk_mb=round(size_mb(folder), 1),
            date=dt.datetime.now(tz=dt.UTC).date().isoformat(),
        )


def names_of(text: str, data: Path) -> list[str]:
    """Tables by the name of a list (``dev12``, ``bench20``, ``bench20:2`` for every second one) or by their names."""
    name, _, step = text.partition(":")
    path = data / "tabular" / f"{name}.txt"
    return path.read_text().split()[:: int(step or 1)] if path.exists() else text.split(",")


def pairs(given: list[str]) -> dict[str, str]:
    """SYSTEM=VALUE arguments as a dict."""
    return dict(item.split("=", 1) for item in given)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default="dev12", help="dev12, bench20, bench20:2 (every second), or names")
    parser.add_argument("--systems", default="plain,catboost", help=f"of {', '.join(SYSTEMS)}")
    parser.add_argument("--time", type=float, default=60.0, help="seconds each system is given")
    parser.add_argument("--splits", default="0", help="seeds of the 70/30 splits")
    parser.add_argument("--python", action="append", default=[], metavar="SYSTEM=PATH", help="its interpreter")
    parser.add_argument("--version", action="append", default=[], metavar="SYSTEM=TEXT", help="instead of its own")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "end_to_end.csv")
    parser.add_argument("--data", type=Path, default=os.environ.get("AUTOMETA_DATA"), help="or AUTOMETA_DATA")
    parser.add_argument("--lock", type=Path, help="file on which each row holds an exclusive lock")
    parser.add_argument("--logs", type=Path, help="folder that keeps what each row printed")
    options = parser.parse_args(arguments)
    unknown = set(options.systems.split(",")) - set(SYSTEMS)
    if unknown:
        parser.error(f"--systems must be of {', '.join(SYSTEMS)}; got {', '.join(sorted(unknown))}")
    if options.data is None:
        parser.error("the data folder must be known: give --data DIR or set AUTOMETA_DATA")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Run every row that the file does not have yet."""
    options = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the fit in progress is ended, too
    pythons, versions = pairs(options.python), pairs(options.version)
    for name in options.systems.split(","):
        python = pythons.get(name, sys.executable)
        version = versions.get(name) or version_of(name, python)
        for table in names_of(options.tables, options.data):
            for seed in map(int, options.splits.split(",")):
                key = (name, version, table, seed, options.time)
                if key in done(options.out):
                    continue
                with exclusive(options.lock):
                    if key in done(options.out):  # another run was faster while this one waited
                        continue
                    row = run_row(name, version, python, table, options, seed)
                    append(options.out, row)
                print(f"{name} {table} split {seed}: {row.reason or 'done'}, {row.wall_s:.0f} s", flush=True)
                time.sleep(1)  # whoever waits for the lock gets a turn


if __name__ == "__main__":
    main()
