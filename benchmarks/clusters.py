"""Simulate searches on clusters of up to a thousand workers.

python -m benchmarks.clusters yahpo_lcbench yahpo_rbv2_xgboost

A bare name is a folder of hpo_tables in the data folder (AUTOMETA_DATA, else ../shared/data). Each search is one row of
benchmarks/results/clusters/COLLECTION.csv; rows that are there are not made again.
`python -m benchmarks.cluster_report` writes what they come to into docs/clusters.md.
"""

import argparse
import csv
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import optuna
import pandas as pd

from autometa.policies.learned import LearnedPolicy
from autometa.policies.random import RandomPolicy
from autometa.policies.source_mixture import SourceMixturePolicy
from autometa.records.asynchronous import Simulated, simulate
from autometa.records.prior_tasks import PriorTasks
from autometa.records.reading import read_collection
from autometa.records.replay import Target, evenly_taken, replayable
from autometa.records.sources import Folds
from autometa.space import Config
from autometa.task import Policy, Task
from benchmarks.replay import folder_of

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "clusters"
WORKERS = (1, 8, 64, 512, 1_000)
POLICIES = ("learned", "source_mixture", "tpe", "random")
TASKS = 12  # of a collection, evenly taken by difficulty
SEEDS = {"random": 10}  # searches on each task; the others: one
SHORTEST, ROUNDS = 200, 1.5  # trials of a search, and per worker
MOST_AHEAD, SHARE_AHEAD = 64, 8  # proposals asked for at once: one for so many workers
GOAL_TRIALS, GOAL_DRAWS = 100, 10_000
TIMES = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 20.0, 100.0)  # mean evaluations
COUNTS = (50, 200)  # finished trials

optuna.logging.set_verbosity(optuna.logging.WARNING)


class KeptTPE:
    """Optuna's TPE on one study that is kept through a search, as a cluster would run it; pending trials count as bad.

    Args:
        seed: of the sampler.
    """

    def __init__(self, seed: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=seed)
        self._study = optuna.create_study(sampler=sampler)
        self._open: dict[int, optuna.Trial] = {}

    def propose(self, task: Task, *, n: int, seed: int, candidates: Sequence[Config] | None = None) -> list[Config]:
        """The next n configs; the history must be that of its own proposals."""
        del seed, candidates
        for number in [i for i in self._open if task.history[i].state != "running"]:
            done, trial = task.history[number], self._open.pop(number)
            failed = done.state == "failed"
            self._study.tell(
                trial,
                None if failed else done.loss,
                state=optuna.trial.TrialState.FAIL if failed else None,
            )
        proposals = []
        for _ in range(n):
            trial = self._study.ask()
            proposals.append(task.space.suggest(trial))
            self._open[trial.number] = trial
        return proposals


def made(name: str, prior: PriorTasks, seed: int) -> Policy:
    """A policy by name."""
    match name:
        case "learned":
            return LearnedPolicy(prior)
        case "source_mixture":
            return SourceMixturePolicy(prior)
        case "tpe":
            return KeptTPE(seed)
        case _:
            return RandomPolicy()


def yardsticks(target: Target) -> tuple[float, float]:
    """The regret that half of all random searches have after so many trials, and the mean seconds of a random trial."""
    rng, every = np.random.default_rng(0), np.arange(len(target.pool))
    space = target.pool.space
    draws = [target.pool.nearest(space.sample(rng), every, seed=[0, i]) for i in range(GOAL_DRAWS)]
    quantile = 1.0 - 0.5 ** (1.0 / GOAL_TRIALS)
    return float(np.quantile(target.regrets[draws], quantile)), float(target.seconds[draws].mean())


def row(run: Simulated, target: Target, goal: float, unit: float) -> dict[str, float]:
    """What one search came to."""
    ended, best = run.best(target.regrets)
    there = np.flatnonzero(best <= goal + 1e-12)
    found = {"time": ended[there[0]] / unit if len(there) else np.inf}
    found["trials"] = int(there[0]) + 1 if len(there) else np.inf
    found["again"] = float(run.again.mean())
    found["per_second"] = len(run.places) / run.real
    found["ended"] = ended[-1] / unit
    for t in TIMES:
        n = int(np.searchsorted(ended, t * unit, side="right"))
        found[f"at_time_{t:g}"] = best[n - 1] if n else 1.0
    for k in COUNTS:
        found[f"at_trial_{k}"] = best[k - 1]
    return found


def searches(names: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Policy, workers and seed, the quick ones first."""
    for workers in WORKERS:
        for name in names:
            for seed in range(SEEDS.get(name, 1)):
                yield name, workers, seed


def run(collections: Sequence[str], policies: Sequence[str]) -> None:
    """Make the rows that are not there yet."""
    for name in collections:
        collection = read_collection(folder_of(name))
        folds = Folds.deal(collection, 10)
        targets = replayable(collection, range(len(collection.names)))
        path = RESULTS / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = pd.read_csv(path, dtype={"task": str}).to_dict("records") if path.exists() else []
        known = {(r["task"], r["policy"], r["workers"], r["seed"]) for r in rows}
        for number in evenly_taken(targets, TASKS):
            target = targets[number]
            goal, unit = yardsticks(target)
            for policy, workers, seed in searches(policies):
                if (target.name, policy, workers, seed) in known:
                    continue
                own = int(np.random.SeedSequence([seed, zlib.crc32(target.name.encode())]).generate_state(1)[0])
                found = simulate(
                    made(policy, folds.prior(number), own),
                    target,
                    workers=workers,
                    trials=max(SHORTEST, round(ROUNDS * workers)),
                    ahead=max(1, min(MOST_AHEAD, workers // SHARE_AHEAD)),
                    seed=own,
                )
                head = {"task": target.name, "group": int(folds.group[number]), "policy": policy}
                rows.append({**head, "workers": workers, "seed": seed, **row(found, target, goal, unit)})
                print(
                    f"{name} {target.name} {policy} {workers}: {found.real:.1f} s, time {rows[-1]['time']:.3g}",
                    flush=True,
                )
                with path.open("w", newline="") as file:
                    writer = csv.DictWriter(file, list(rows[0]))
                    writer.writeheader()
                    writer.writerows({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in r.items()} for r in rows)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="+")
    parser.add_argument("--policies", default=",".join(POLICIES))
    given = parser.parse_args()
    run(given.collections, given.policies.split(","))


if __name__ == "__main__":
    main()
