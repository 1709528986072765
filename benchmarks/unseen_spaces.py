"""The learned policy without any prior task on spaces that its process has never seen, beside TPE.

python -m benchmarks.unseen_spaces train --keep FILE
python -m benchmarks.unseen_spaces run --keep FILE
python -m benchmarks.unseen_spaces report

The process is meta-trained without the collections that are replayed, and without any task on the same data as one of
theirs. The synthetic spaces are families that no training draws. Results go to benchmarks/results/unseen.csv and
docs/benchmarks.md.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from autometa.metatrain.policy_training import Recipe, train_policy
from autometa.metatrain.process_training import Settings as Training
from autometa.metatrain.synthetic_tasks import SyntheticFamily, prior_tasks
from autometa.metatrain.validation import synthetic_targets
from autometa.policies.learned import LearnedPolicy
from autometa.policies.learned_process import LearnedProcess
from autometa.policies.optuna_samplers import TPEPolicy
from autometa.policies.random import RandomPolicy
from autometa.records.groups import groups
from autometa.records.reading import read_collection
from autometa.records.replay import Target, replay, target_of
from autometa.task import Policy
from benchmarks.replay import folder_of, interval
from benchmarks.report import table, write_between

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "unseen.csv"
DOCS = ROOT / "docs" / "benchmarks.md"
UNSEEN = ("yahpo_lcbench", "salinas_deepar", "salinas_xgboost", "fcnet_hpolib", "hpobench_mlp")
SEEN = (
    "nasbench201",
    "nasbench_graph",
    "nasbench_macro",
    "oboe",
    "taskset_text",
    "yahpo_nb301",
    "yahpo_rbv2_ranger",
    "yahpo_rbv2_rpart",
    "yahpo_rbv2_xgboost",
)
TASKS, TRIALS, SEEDS = 16, 50, 3  # of each collection, of a replay, of a policy
FAMILIES, MEMBERS, CONFIGS = 20, 2, 400  # of synthetic spaces
STREAM = 7  # of the seeds of families; trainings draw from others
POINTS = (10, 25, 50)
NOTE = (
    "Mean regret after k trials, {seeds} seeds averaged, at most {tasks} tasks of each collection and {families} "
    "random conditional spaces with {members} functions of {configs} configs each. The policy knows no prior task; its "
    "process is meta-trained without any of these collections and without tasks on the same data. Difference of the "
    "areas under the regret of trials 1-50: learned less TPE, with a bootstrap over datasets. "
    "`python -m benchmarks.unseen_spaces`.\n"
)


@dataclass(frozen=True)
class Tried:
    """A task to replay, and where it is from.

    Attributes:
        collection: its name, "synthetic" for random spaces.
        group: of tasks that belong together.
        target: the task.
    """

    collection: str
    group: int
    target: Target


def names_of(collections: tuple[str, ...]) -> list[str]:
    """The names of all datasets of some collections, and of their families."""
    datasets = [d for name in collections for d in read_collection(folder_of(name)).card.datasets]
    return sorted({word for d in datasets for word in (d.name, d.family) if word})


def train(keep: Path, steps: int) -> None:
    """Meta-train the process."""
    recipe = Recipe(
        data=[ROOT / "meta_datasets" / "tabular", *map(folder_of, SEEN)],
        out=keep,
        exclude=names_of(UNSEEN),
        settings=Training(steps=steps, validate_every=max(1, steps // 20)),
    )
    train_policy(recipe, say=lambda line: print(line, file=sys.stderr, flush=True))


def tried() -> Iterator[Tried]:
    """All tasks to replay."""
    for name in UNSEEN:
        collection = read_collection(folder_of(name))
        group = groups(collection)
        found = [(n, target_of(collection, n)) for n in range(len(collection.names)) if collection.evaluated[n].any()]
        kept = [(n, target) for n, target in found if not target.constant]
        for place in np.unique(np.linspace(0, len(kept) - 1, min(TASKS, len(kept))).astype(int)):
            number, target = kept[place]
            yield Tried(name, int(group[number]), target)
    for number, seed in enumerate(np.random.SeedSequence([0, STREAM]).generate_state(FAMILIES).tolist()):
        family = prior_tasks(SyntheticFamily.draw(seed), tasks=MEMBERS, configs=CONFIGS, seed=seed)
        for target in synthetic_targets([family]):
            if not target.constant:
                yield Tried("synthetic", number, target)


def run(keep: Path) -> None:
    """Replay every policy on every task; rows that are there are kept."""
    process = LearnedProcess.load(keep)
    policies: dict[str, Policy] = {
        "learned": LearnedPolicy(process=process),
        "learned, no process": LearnedPolicy(),
        "tpe": TPEPolicy(),
        "random": RandomPolicy(),
    }
    rows = pd.read_csv(RESULTS, dtype={"task": str}) if RESULTS.exists() else pd.DataFrame()
    done = set() if rows.empty else set(zip(rows["collection"], rows["task"], strict=True))
    for one in tried():
        if (one.collection, one.target.name) in done:
            continue
        new = []
        for name, policy in policies.items():
            curves = []
            for seed in range(SEEDS):
                places = replay(policy, one.target, trials=TRIALS, seed=seed).places
                curves.append(one.target.best_so_far(places, TRIALS))
            mean = np.mean(curves, axis=0)
            new.append(
                {
                    "collection": one.collection,
                    "group": one.group,
                    "task": one.target.name,
                    "policy": name,
                    **{f"regret_{k}": mean[k - 1] for k in POINTS},
                    "area": mean.mean(),
                }
            )
        rows = pd.concat([rows, pd.DataFrame(new)], ignore_index=True)
        rows.to_csv(RESULTS, index=False, float_format="%.6g")
        print(f"{one.collection} {one.target.name}", file=sys.stderr, flush=True)


def difference(part: pd.DataFrame, column: str) -> tuple[float, float, float]:
    """Learned less TPE, with a 95 % interval over groups."""
    wide = part.pivot_table(index=["collection", "group", "task"], columns="policy", values=column)
    apart = wide["learned"] - wide["tpe"]
    groups = apart.groupby(level=["collection", "group"]).ngroup()
    return float(apart.mean()), *interval(apart, groups)


def report() -> None:
    """Write the section between its markers."""
    rows = pd.read_csv(RESULTS, dtype={"task": str})
    lines = []
    for name in [*rows["collection"].drop_duplicates(), "all"]:
        part = rows if name == "all" else rows[rows["collection"] == name]
        for policy in rows["policy"].drop_duplicates():
            own = part[part["policy"] == policy]
            cells = [name, str(len(own)), policy, *[f"{own[f'regret_{k}'].mean():.4f}" for k in POINTS]]
            cells += [f"{own['area'].mean():.4f}", ""]
            if policy == "learned":
                mean, low, high = difference(part, "area")
                cells[-1] = f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"
            lines.append(cells)
    head = ["collection", "tasks", "policy", *[f"@{k}" for k in POINTS], "area 1-50", "against TPE [95 %]"]
    note = NOTE.format(seeds=SEEDS, tasks=TASKS, families=FAMILIES, members=MEMBERS, configs=CONFIGS)
    write_between(DOCS, "unseen", f"## Spaces that were never seen\n\n{note}\n{table(head, lines)}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "run", "report"])
    parser.add_argument("--keep", type=Path, help="checkpoint of the process")
    parser.add_argument("--steps", type=int, default=5_000)
    given = parser.parse_args()
    match given.what:
        case "train":
            train(given.keep, given.steps)
        case "run":
            run(given.keep)
        case _:
            report()
