"""ray_searcher: suggestions per second, and how busy it keeps workers beside Ray Tune's own random search.

python -m benchmarks.ray_searcher

Writes benchmarks/results/ray_searcher.csv. Suggestions are asked for in batches, each told its outcomes before the next
one; wall time, and processor time beside it, which says the same on a busy machine. Workers are actors that are used
again, on logical processors, and as many trials wait as there are workers; a trial sleeps for a second. The sweeps of
both systems take turns on one cluster. Busy is the share of the workers' time that trials ran, from when all workers
had one until the last was given out.
"""

import argparse
import math
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import ray
import torch
from ray import tune

import autometa

RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results" / "ray_searcher.csv"
SPACE = {
    "rate": tune.loguniform(1e-4, 1.0),
    "batch": tune.lograndint(8, 513),
    "dropout": tune.quniform(0.0, 0.5, 0.1),
    "model": tune.choice(
        [
            {"name": "tree", "depth": tune.randint(1, 13), "leaves": tune.uniform(0.0, 1.0)},
            {"name": "net", "width": tune.lograndint(8, 513)},
        ]
    ),
}
FINISHED, BATCH = 1_000, 64
WORKERS, SECONDS = 8, 1.0
RAY = {
    "TUNE_MAX_PENDING_TRIALS_PG": str(WORKERS),
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_worker_niceness": "0",  # else whatever else the machine does comes before the trials
}


def conditional(config: dict[str, Any]) -> float:
    """A loss on the space above."""
    model = config["model"]
    shape = abs(model["depth"] - 6) / 12 + model["leaves"] if model["name"] == "tree" else math.log(model["width"]) / 6
    return float(abs(math.log10(config["rate"]) + 2) + shape + config["dropout"] + abs(config["batch"] - 64) / 512)


def tabular(config: dict[str, Any]) -> float:
    """A loss on the shipped space."""
    space = autometa.Space.load("tabular")
    return float(((np.nan_to_num(space.to_unit(config), nan=0.5) - 0.4) ** 2).mean())


def rates(name: str, space: Any, loss: Callable[[dict[str, Any]], float], batches: int) -> Iterator[dict[str, Any]]:
    """Suggestions per second, a row for each batch."""
    searcher = autometa.ray_searcher(space, "loss", "min", seed=0)
    known = searcher._sweep.shape  # type: ignore[attr-defined]  # noqa: SLF001
    rng = np.random.default_rng(1)
    for _ in range(FINISHED - BATCH):
        config = known.suggestion(known.rounded(known.space.sample(rng)))
        searcher.add_evaluated_point(config, loss(config))
    for batch in range(-1, batches):  # the first one brings the history to its length, and is not counted
        wall, cpu = time.perf_counter(), time.process_time()
        names = [f"{batch} {i}" for i in range(BATCH)]
        found = [searcher.suggest(trial) for trial in names]
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        losses = [loss(config) for config in found if config]
        told, told_cpu = time.perf_counter(), time.process_time()
        for trial, value in zip(names, losses, strict=True):
            searcher.on_trial_result(trial, {"loss": value, "training_iteration": 1})
            searcher.on_trial_complete(trial, {"loss": value, "training_iteration": 1})
        wall, cpu = wall + time.perf_counter() - told, cpu + time.process_time() - told_cpu
        if batch >= 0:
            yield {"measure": "per_second", "case": name, "run": batch, "value": BATCH / wall, "cpu_value": BATCH / cpu}


def sleeping(config: dict[str, Any], place: str) -> None:
    """A trial of a second; says when it ran. The first ones wait for each other, for a process takes long to start."""
    begun = Path(place)
    (begun / uuid.uuid4().hex).touch()
    while sum(1 for _ in begun.iterdir()) < WORKERS:
        time.sleep(0.05)
    began = time.time()
    time.sleep(SECONDS)
    tune.report({"loss": conditional(config), "began": began, "ended": time.time()})


def swept(searcher: Any, trials: int, folder: str) -> tuple[float, float]:
    """The busy share of the workers, and their seconds per trial, in one sweep."""
    begun = tempfile.mkdtemp(dir=folder)
    tuner = tune.Tuner(
        tune.with_parameters(sleeping, place=begun),
        param_space=SPACE,
        tune_config=tune.TuneConfig(
            metric="loss", mode="min", search_alg=searcher, num_samples=trials, reuse_actors=True
        ),
        run_config=tune.RunConfig(storage_path=folder, verbose=0),
    )
    results = tuner.fit()
    times = sorted((r.metrics["began"], r.metrics["ended"]) for r in results if r.metrics)
    first, last = times[WORKERS - 1][0], times[-1][0]
    ran = sum(max(0.0, min(end, last) - max(begin, first)) for begin, end in times)
    return ran / (WORKERS * (last - first)), WORKERS * (last - first) / (len(times) - WORKERS)


def sweeps(trials: int, runs: int) -> Iterator[dict[str, Any]]:
    """Busy shares of both systems, which take turns."""
    with tempfile.TemporaryDirectory(prefix="rb") as folder:
        ray.init(
            num_cpus=WORKERS,
            object_store_memory=100 * 2**20,
            include_dashboard=False,
            log_to_driver=False,
            _temp_dir=folder,
        )
        try:
            swept(None, 2 * WORKERS, folder)  # what is done once only
            for run in range(runs):
                pace = {}
                for name in ("random", "ray_searcher"):
                    searcher = autometa.ray_searcher(seed=run) if name == "ray_searcher" else None
                    busy, pace[name] = swept(searcher, trials, folder)
                    yield {"measure": "busy", "case": name, "run": run, "value": busy}
                    yield {"measure": "seconds_per_trial", "case": name, "run": run, "value": pace[name]}
                more = pace["ray_searcher"] / pace["random"] - 1.0
                yield {"measure": "overhead", "case": "ray_searcher", "run": run, "value": more}
        finally:
            ray.shutdown()


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--trials", type=int, default=160, help="of a sweep")
    parser.add_argument("--runs", type=int, default=3, help="sweeps of each system")
    given = parser.parse_args()
    torch.set_num_threads(1)
    os.environ.update(RAY)
    rows = []
    for found in (
        rates("conditional", SPACE, conditional, given.batches),
        rates("tabular", "tabular", tabular, given.batches),
        sweeps(given.trials, given.runs),
    ):
        for row in found:
            print(row, flush=True)
            rows.append(row)
            pd.DataFrame(rows).round(4).to_csv(RESULTS, index=False)  # a busy machine takes long for all of them
    frame = pd.DataFrame(rows)
    print(frame.groupby(["measure", "case"])[["value", "cpu_value"]].median())


if __name__ == "__main__":
    main()
