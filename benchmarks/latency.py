"""Milliseconds of a proposal of the learned policy, by the length of the history, beside Optuna's TPE.

python -m benchmarks.latency

Writes benchmarks/results/latency.csv and docs/benchmarks.md between its markers. One thread; wall time, and processor
time beside it, which says the same on a busy machine.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from autometa.parameters import Float
from autometa.policies.learned import LearnedPolicy
from autometa.policies.learned_process import LearnedProcess
from autometa.policies.optuna_samplers import TPEPolicy
from autometa.policies.process_network import ProcessNetwork
from autometa.records.collection import Collection
from autometa.records.prior_tasks import PriorTasks
from autometa.space import Config, Space
from autometa.task import Policy, Task, Trial
from benchmarks.report import table, write_between

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "latency.csv"
DOCS = ROOT / "docs" / "benchmarks.md"
FLOATS = Space("floats", tuple(Float(name=name, low=0.0, high=1.0, default=0.5) for name in "abcdef"))
PAST, PAST_TRIALS = 8, 60
LENGTHS = (10, 100, 1_000)
AIMS = {100: 50, 1_000: 150}  # ms at most, 95 % of the proposals
NOTE = (
    "A history of so many trials grows by one after each of {rounds} proposals, which are timed; new base candidates "
    "are among them where the history doubles. *first*: the first proposal of a new policy, before any trial, with "
    "all that is learned of the past (torch is imported). tabular: the shipped space with the shipped collection as "
    "past, {tasks} tasks; floats: {numbers} numbers and {past} past tasks of {trials} trials. The process has the "
    "default size. Aims: p95 of {aims}; first of 1,000 ms."
)


def bowl(space: Space, centre: float) -> Callable[[Config], float]:
    """The mean squared distance from a point of the unit cube."""
    return lambda config: float(((np.nan_to_num(space.to_unit(config), nan=0.5) - centre) ** 2).mean())


def history(space: Space, centre: float, count: int, seed: int) -> tuple[Trial, ...]:
    """Random trials."""
    rng, loss = np.random.default_rng(seed), bowl(space, centre)
    return tuple(Trial(c, "complete", loss(c)) for c in (space.sample(rng) for _ in range(count)))


def systems() -> Iterator[tuple[str, Space, Callable[[], Policy]]]:
    """Name, space, and what makes the policy anew."""
    tabular = Space.load("tabular")
    recorded = PriorTasks.of(Collection.load(ROOT / "meta_datasets" / "tabular"))
    past = [Task(f"past {s}", FLOATS, history(FLOATS, 0.3 + 0.05 * s, PAST_TRIALS, s)) for s in range(PAST)]
    torch.manual_seed(0)
    network = ProcessNetwork()
    yield "learned", tabular, lambda: LearnedPolicy(recorded)
    yield "learned + process", tabular, lambda: LearnedPolicy(recorded, process=LearnedProcess(network))
    yield "tpe", tabular, TPEPolicy
    yield "learned", FLOATS, lambda: LearnedPolicy(past)
    yield "learned + process", FLOATS, lambda: LearnedPolicy(past, process=LearnedProcess(network))
    yield "tpe", FLOATS, TPEPolicy


def timed(policy: Policy, task: Task) -> tuple[Config, float, float]:
    """A proposal, its wall time and its processor time in ms."""
    wall, cpu = time.perf_counter(), time.process_time()
    (config,) = policy.propose(task, n=1, seed=0)
    return config, 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)


def measure(rounds: int) -> pd.DataFrame:
    """One row for each policy, space and length of history."""
    rows = []
    for name, space, make in systems():
        loss, (_, first, _) = bowl(space, 0.4), timed(make(), Task("new", space))
        for length in LENGTHS:
            policy, task = make(), Task("new", space, history(space, 0.4, length, seed=99))
            policy.propose(task, n=1, seed=0)  # in a search the past is known by then
            found = []
            for _ in range(rounds):
                config, *ms = timed(policy, task)
                found.append(ms)
                task = task.observe(Trial(config, "complete", loss(config)))
            (p50, cpu_p50), (p95, cpu_p95) = np.quantile(found, [0.5, 0.95], axis=0)
            rows.append(
                {
                    "policy": name,
                    "space": space.name,
                    "trials": length,
                    "p50_ms": p50,
                    "p95_ms": p95,
                    "cpu_p50_ms": cpu_p50,
                    "cpu_p95_ms": cpu_p95,
                    "first_ms": first,
                }
            )
            print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def section(rows: pd.DataFrame, rounds: int) -> str:
    """The part of the page."""
    head = ["policy, space"]
    head += [f"{what} at {length:,}" for length in LENGTHS for what in ("p50 / p95", "CPU p50 / p95")]
    lines = []
    for (space, policy), own in rows.groupby(["space", "policy"], sort=False):
        cells = [f"{policy}, {space}"]
        for row in own.itertuples():
            cells += [f"{row.p50_ms:.0f} / {row.p95_ms:.0f}", f"{row.cpu_p50_ms:.0f} / {row.cpu_p95_ms:.0f}"]
        lines.append([*cells, f"{own['first_ms'].iloc[0]:.0f}"])
    note = NOTE.format(
        rounds=rounds,
        tasks=len(PriorTasks.of(Collection.load(ROOT / "meta_datasets" / "tabular"))),
        numbers=len(FLOATS),
        past=PAST,
        trials=PAST_TRIALS,
        aims=" and ".join(f"{ms} ms at {length:,} trials" for length, ms in AIMS.items()),
    )
    return f"## Time of a proposal\n\nMilliseconds.\n\n{table([*head, 'first'], lines)}\n\n{note}\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    rows = measure(rounds)
    rows.round(1).to_csv(RESULTS, index=False)
    text = section(rows, rounds)
    write_between(DOCS, "latency", text)
    print(text)


if __name__ == "__main__":
    main()
