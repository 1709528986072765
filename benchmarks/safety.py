"""The learned policy and its rivals where prior tasks mislead, beside TPE, which knows none.

python -m benchmarks.safety run oboe --keep FOLDER
python -m benchmarks.safety report

Everything that is learned is learned from the misleading tasks, the process of the learned policy as well. Results go
to benchmarks/results/safety and docs/benchmarks.md.
"""

import argparse
import sys
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from autometa.metatrain.process_training import Settings as Training
from autometa.policies.experts import Parts
from autometa.policies.learned import LearnedPolicy
from autometa.policies.optuna_samplers import TPEPolicy
from autometa.records.prior_tasks import PriorTasks
from autometa.records.reading import read_collection
from autometa.records.replay import Target, replay
from autometa.records.stress import STRESSES
from autometa.search.replay_policies import POLICIES, SEEDLESS
from autometa.task import Policy
from benchmarks.learned import Trained
from benchmarks.one_split import OneSplit
from benchmarks.replay import folder_of
from benchmarks.report import table, write_between

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "safety"
DOCS = ROOT / "docs" / "benchmarks.md"
CLEAN = "as they are"
LEARNED, ALWAYS, COLD = "learned", "learned, with the process", "tpe"
KEY = ["sources", "task", "steps", "policy"]  # of a row; steps of what was meta-trained for it, else 0
TRIALS, LONGER = 50, 1.3  # trials by which policies are judged, and how many times as many are run
SEEDS = 5  # of policies that draw, on sources as they are; on others one
POINTS = (5, 10, 25, 50)
WORSE = 0.01  # regret at 25 by which a task counts as harmed
NOTE = (
    "{tasks} tasks of {collection} whose datasets nothing was learned from, evenly taken by difficulty; regret after k "
    "trials, of TPE over {seeds} seeds. *Cold's 50*: trials, over TPE's, until the mean regret is TPE's after "
    "{trials}; more than {longer} is not seen. *Harmed*: share of the tasks that are worse than TPE by more than 0.01 "
    "at 25. So many prior tasks leave no part to the process; *with the process* it has one, and is meta-trained on "
    "the misleading tasks, {steps} steps. `python -m benchmarks.safety`.\n"
)


RIVALS = ("source_mixture", "portfolio", "portfolio_tpe")


def misled(prior: PriorTasks, kind: str, target: NDArray[np.float64], seed: int) -> PriorTasks:
    """Prior tasks changed as the stress says."""
    if kind == CLEAN:
        return prior
    return STRESSES[kind](prior, target, np.random.default_rng([seed, zlib.crc32(kind.encode())]))


def regrets(policy: Policy, target: Target, trials: int, seeds: int) -> NDArray[np.float64]:
    """Least regret so far by trial, (trials,), seeds averaged."""
    runs = []
    for seed in range(seeds):
        own = int(np.random.SeedSequence([seed, zlib.crc32(target.name.encode())]).generate_state(1)[0])
        runs.append(target.best_so_far(replay(policy, target, trials=trials, seed=own).places, trials))
    return np.asarray(np.mean(runs, axis=0))


def run(name: str, trained: Trained, kinds: Sequence[str], say: Callable[[str], None]) -> None:
    """Every policy under every kind of sources; rows that are there are kept."""
    collection = read_collection(folder_of(name))
    split = OneSplit.of(collection)
    goal, trials = RESULTS / f"{collection.card.name}.csv", round(LONGER * TRIALS)
    goal.parent.mkdir(parents=True, exist_ok=True)
    rows = pd.read_csv(goal, dtype={"task": str}) if goal.exists() else pd.DataFrame(columns=KEY)
    done = set(rows[KEY].itertuples(index=False, name=None))
    for kind in kinds:
        # What the process learns from is the same for all tasks; a near copy is one of another task.
        process = trained.process(misled(split.known, kind, split.known.losses[-1], 0))
        for number, target in split.targets.items():
            here = misled(split.known.on(target.pool), kind, target.losses, number)
            policies = {
                LEARNED: partial(LearnedPolicy, here),
                ALWAYS: partial(LearnedPolicy, here, process=process, parts=Parts(process_below=sys.maxsize)),
            }
            policies |= {rival: partial(POLICIES[rival], here) for rival in RIVALS}
            policies |= {COLD: TPEPolicy} if kind == CLEAN else {}
            for policy, make in policies.items():
                told = (kind, target.name, trained.training.steps if policy == ALWAYS else 0, policy)
                if told not in done:
                    seeds = SEEDS if kind == CLEAN and policy not in SEEDLESS else 1
                    found = regrets(make(), target, trials, seeds)
                    new = dict(zip(KEY, told, strict=True)) | {str(k + 1): v for k, v in enumerate(found)}
                    rows = pd.concat([rows, pd.DataFrame([new])], ignore_index=True)
            rows.to_csv(goal, index=False, float_format="%.5g")
            say(f"{kind} {target.name}")


def longest(rows: pd.DataFrame) -> list[int]:
    """Steps of the longest trainings under the kinds of sources, the most first."""
    most = rows[rows["policy"] == ALWAYS].groupby("sources")["steps"].max()
    return sorted(set(most.tolist()), reverse=True)


def lines(rows: pd.DataFrame) -> list[list[str]]:
    """A line for each kind of sources and policy; where a process was trained more than once, the longest training."""
    rows = rows[rows["steps"] == rows.groupby(["sources", "policy"])["steps"].transform("max")]
    trials = [c for c in rows.columns if c.isdigit()]
    by = {key: part.set_index("task")[trials] for key, part in rows.groupby(["sources", "policy"], sort=False)}
    cold = by[CLEAN, COLD]
    goal = cold.mean()[str(TRIALS)]
    found = []
    for (kind, policy), regret in by.items():
        mean = regret.mean()
        there = np.flatnonzero(mean.to_numpy() <= goal)
        reached = f"{(there[0] + 1) / TRIALS:.2f}" if len(there) else f"> {LONGER}"
        harmed = (regret["25"] > cold["25"].loc[regret.index] + WORSE).mean()
        found.append([kind, policy, *[f"{mean[str(k)]:.4f}" for k in POINTS], reached, f"{harmed:.0%}"])
    return found


def report() -> None:
    """Write the section between its markers."""
    texts = ["## Prior tasks that mislead\n"]
    for file in sorted(RESULTS.glob("*.csv")):
        rows = pd.read_csv(file, dtype={"task": str})
        note = NOTE.format(
            tasks=rows["task"].nunique(),
            collection=file.stem,
            seeds=SEEDS,
            trials=TRIALS,
            longer=LONGER,
            steps=" or ".join(f"{n:,}" for n in longest(rows)),
        )
        head = ["sources", "policy", *[f"@{k}" for k in POINTS], "cold's 50", "harmed"]
        texts += [note, table(head, lines(rows)) + "\n"]
    write_between(DOCS, "safety", "\n".join(texts))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "report"])
    parser.add_argument("collections", nargs="*")
    parser.add_argument("--steps", type=int, default=1_000)
    parser.add_argument("--kinds", help="of sources, by comma (default: all)")
    parser.add_argument("--keep", type=Path, help="folder of the meta-trained processes")
    given = parser.parse_args()
    if given.what == "report":
        report()
    else:
        one = Trained(Training(steps=given.steps, validate_every=given.steps), given.keep)
        all_kinds = (CLEAN, *STRESSES)
        for each in given.collections:
            run(
                each,
                one,
                given.kinds.split(",") if given.kinds else all_kinds,
                lambda line: print(line, file=sys.stderr, flush=True),
            )
