"""Hold searches to their limits: wall time from the start of the process to its exit, memory of the whole tree."""

import datetime as dt
import json
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
from pyarrow.csv import WriteOptions, write_csv

from benchmarks.measure import Usage, watch
from benchmarks.promise_runs import command, environment

CORES = 2
ALLOWED_S, ALLOWED_SHARE = 2.0, 0.02  # the promise: over by no more than the larger one
BATCH = 100_000  # rows of the large table that are made at a time
PERIOD = 0.5  # seconds between two looks at the memory


@dataclass(frozen=True)
class Timed:
    """A search with a time limit.

    Attributes:
        wall_s: from the start of the process to its exit.
        over_s: wall_s less the limit.
        held: whether over_s and peak_pss_mb are within what is promised and the search succeeded.
        peak_rss_mb: largest sum of resident sizes seen; shared pages count once per process.
        peak_pss_mb: the same with shared pages counted once.
    """

    version: str
    table: str
    rows: int
    columns: int
    classes: int
    time_limit: float
    memory_limit: str
    wall_s: float
    over_s: float
    held: int
    trials: int
    failed_trials: int
    validation_score: float | None
    cpu_s: float
    peak_rss_mb: float
    peak_pss_mb: float
    reason: str
    date: str


def timed(
    table: Path, *, version: str, limit: float, memory: str, rows: int, columns: int, classes: int, options: list[str]
) -> Timed:
    """Run one search and measure it."""
    with tempfile.TemporaryDirectory(prefix="promise-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        run, log = folder / "run", folder / "log.txt"
        arguments = [table, "--time", f"{limit:g}s", "--workers", CORES, "--quiet", "--out", run, *options]
        arguments += ["--memory", memory] if memory else []
        usage, shared = measured(command("search", *arguments), folder=folder, log=log, limit=3 * limit + 60)
        metrics = json.loads((run / "metrics.json").read_text()) if (run / "metrics.json").exists() else {}
        lines = log.read_text(errors="replace").strip().splitlines()
    over = usage.wall_s - limit
    in_time = over <= max(ALLOWED_S, ALLOWED_SHARE * limit)
    in_memory = not memory or shared <= float(memory.removesuffix("G")) * 2**30
    reason = "" if usage.code == 0 else f"exit {usage.code}: {lines[-1][:200] if lines else 'no message'}"
    return Timed(
        version=version,
        table=table.stem,
        rows=rows,
        columns=columns,
        classes=classes,
        time_limit=limit,
        memory_limit=memory,
        wall_s=round(usage.wall_s, 2),
        over_s=round(over, 2),
        held=int(usage.code == 0 and in_time and in_memory),
        trials=metrics.get("trials", 0),
        failed_trials=metrics.get("failed_trials", 0),
        validation_score=metrics.get("validation_score"),
        cpu_s=round(usage.cpu_s, 1),
        peak_rss_mb=round(usage.peak_mb),
        peak_pss_mb=round(shared / 2**20),
        reason=reason,
        date=dt.datetime.now(tz=dt.UTC).date().isoformat(),
    )


def measured(arguments: list[str], *, folder: Path, log: Path, limit: float) -> tuple[Usage, float]:
    """What a command took, and the peak in bytes of its tree's memory with shared pages counted once."""
    ended = threading.Event()
    peak = [0.0]

    def sample() -> None:
        me = psutil.Process()
        while not ended.wait(PERIOD):
            peak[0] = max(peak[0], sum(map(proportional, me.children(recursive=True))))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        usage = watch(arguments, env=environment(), folder=folder, log=log, limit=limit, cores=CORES)
    finally:
        ended.set()
        sampler.join()
    return usage, peak[0]


def proportional(process: psutil.Process) -> float:
    """Memory of a process in bytes, each shared page divided by the number of its users."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(1024.0 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def write_large(path: Path, *, rows: int, columns: int, seed: int) -> None:
    """A CSV of numbers, some of them missing, and a tenth of categories; two classes depend on both."""
    rng = np.random.default_rng(seed)
    categories = max(1, columns // 10)
    numbers = columns - categories - 1
    slopes = rng.normal(size=numbers)
    names = np.array([f"level {k}" for k in range(12)])
    with path.open("wb") as out:
        for start in range(0, rows, BATCH):
            count = min(BATCH, rows - start)
            values = rng.normal(size=(count, numbers)).astype(np.float32)
            levels = rng.integers(0, len(names), size=(count, categories))
            signal = values @ slopes + 3.0 * np.sin(values[:, 0] * values[:, 1]) + (levels[:, 0] > 6)
            label = signal + 2.0 * rng.normal(size=count) > 0
            values[rng.random(values.shape) < 0.02] = np.nan
            made = {f"number_{i}": pa.array(values[:, i].round(4), from_pandas=True) for i in range(numbers)}
            made |= {f"category_{i}": names[levels[:, i]] for i in range(categories)}
            made["label"] = np.where(label, "yes", "no")
            write_csv(pa.table(made), out, WriteOptions(include_header=start == 0))
