"""What each part of the learned policy is worth: one part off at a time, on one split by dataset.

python -m benchmarks.ablations run oboe --keep FOLDER
python -m benchmarks.ablations report

The split is that of benchmarks.one_split. Processes are trained for few steps and kept in a folder; results go to
benchmarks/results/ablations and docs/benchmarks.md.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from autometa.metatrain.process_training import Settings as Training
from autometa.policies.alone import ALONE
from autometa.policies.experts import Parts
from autometa.policies.learned import LearnedPolicy
from autometa.records.prior_tasks import PriorTasks
from autometa.records.reading import read_collection
from autometa.records.replays import Replays, Settings
from benchmarks.learned import Trained
from benchmarks.one_split import OneSplit
from benchmarks.replay import folder_of, interval
from benchmarks.report import table, write_between

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "ablations"
DOCS = ROOT / "docs" / "benchmarks.md"
SEEDS = 3  # of trainings
NOTE = (
    "Mean regret of trials 1-25 over {tasks} tasks of {collection} whose datasets nothing was learned from; where "
    "a process is trained, the mean of trainings of {steps} steps, {seeds} of three so far. Difference: to the first "
    "line of its part, with a bootstrap over datasets; above zero the change is worse. Two trainings of the same "
    "settings differ by up to .007 where the process is alone. `python -m benchmarks.ablations`.\n"
)


@dataclass(frozen=True)
class Variant:
    """A change of the policy or of its process.

    Attributes:
        part: of the table: "policy" for the whole policy, "process" for the process alone.
        name: what is changed.
        training: of the process.
        parts: of the policy.
        inner_steps: at search time; None for those of the training.
        tasks: to learn from; None for all.
    """

    part: str
    name: str
    training: Training
    parts: Parts
    inner_steps: int | None = None
    tasks: int | None = None


def variants(steps: int) -> Iterator[Variant]:
    """All of them; the first of each part is what the others are held against."""
    joint = Training(steps=steps, validate_every=steps)
    whole = Parts(process_below=sys.maxsize)  # so many prior tasks would leave it out
    yield Variant("policy", "all parts", joint, whole)
    for part in ("process", "copies", "shared", "cold"):
        yield Variant("policy", f"without {part}", joint, replace(whole, **{part: False}))
    yield Variant("process", "alone, joint", joint, ALONE)
    for name, changed in {
        "no hypernetwork head": replace(joint, emits=False),
        "no meta-features": replace(joint, reads=False),
        "no learned mean": replace(joint, without=("mean",)),
        "no linear kernel": replace(joint, without=("linear",)),
        "no deep kernel": replace(joint, without=("deep",)),
        "ranks instead of min-max": replace(joint, scaling="ranks"),
    }.items():
        yield Variant("process", name, changed, ALONE)
    for number in (4, 16, 64):
        yield Variant("process", f"{number} source tasks", joint, ALONE, tasks=number)
    for algorithm in ("anil", "meta-sgd", "maml", "fomaml", "reptile"):
        training = replace(joint, algorithm=algorithm)
        for inner in (0, 1, 5, 20):
            yield Variant("process", f"{algorithm}, {inner} inner steps", training, ALONE, inner)


def fewer(prior: PriorTasks, number: int | None, seed: int) -> PriorTasks:
    """Some of the tasks, drawn at random."""
    if number is None:
        return prior
    rows = sorted(np.random.default_rng(seed).permutation(len(prior))[:number].tolist())
    return replace(
        prior,
        names=tuple(prior.names[i] for i in rows),
        losses=prior.losses[rows],
        features=tuple(prior.features[i] for i in rows),
    )


def areas(variant: Variant, seed: int, split: OneSplit, folder: Path) -> "pd.Series[float]":
    """Mean regret of trials 1 to 25, by task."""
    known = fewer(split.known, variant.tasks, seed)
    process = Trained(replace(variant.training, seed=seed), folder).process(known) if variant.parts.process else None
    if process is not None and variant.inner_steps is not None:
        process = replace(process, inner=replace(process.inner, steps=variant.inner_steps))
    replays = Replays(
        split,
        {"one": lambda prior: LearnedPolicy(prior, process=process, parts=variant.parts)},
        Settings(trials=25, seeds=1),
    )
    replays.targets = split.targets
    replays.run(lambda _: None)
    curves = replays.curves(["one"])
    return pd.Series(curves.regret["one"].mean(axis=1), index=list(curves.tasks))


def run(name: str, folder: Path, steps: int) -> None:
    """Every variant that the result file does not have yet."""
    collection = read_collection(folder_of(name))
    split = OneSplit.of(collection)
    goal = RESULTS / f"{collection.card.name}.csv"
    goal.parent.mkdir(parents=True, exist_ok=True)
    rows = pd.read_csv(goal, dtype={"task": str}) if goal.exists() else pd.DataFrame()
    for seed in range(SEEDS):
        for variant in variants(steps):
            if seed and not variant.parts.process:
                continue  # nothing in it is drawn
            if len(rows) and ((rows["variant"] == variant.name) & (rows["seed"] == seed)).any():
                continue
            found = areas(variant, seed, split, folder)
            new = pd.DataFrame(
                {
                    "part": variant.part,
                    "variant": variant.name,
                    "steps": steps,
                    "seed": seed,
                    "task": found.index,
                    "group": [split.group[collection.names.index(t)] for t in found.index],
                    "area": found.to_numpy(),
                }
            )
            rows = pd.concat([rows, new], ignore_index=True)
            rows.to_csv(goal, index=False, float_format="%.6g")
            print(f"{variant.part} {variant.name} {seed}: {found.mean():.4f}", file=sys.stderr, flush=True)


def report() -> None:
    """Write the section between its markers."""
    texts = ["## What each part is worth\n"]
    for file in sorted(RESULTS.glob("*.csv")):
        rows = pd.read_csv(file, dtype={"task": str})
        groups = rows.drop_duplicates("task").set_index("task")["group"]
        by_task = rows.groupby(["part", "variant", "task"], sort=False)["area"].mean()
        lines = []
        for part, variant in rows[["part", "variant"]].drop_duplicates().itertuples(index=False):
            first = rows.loc[rows["part"] == part, "variant"].iloc[0]
            own = by_task[part, variant]
            cells = [part, variant, f"{own.mean():.4f}", ""]
            if variant != first:
                apart = own - by_task[part, first]
                low, high = interval(apart, groups[apart.index])
                cells[-1] = f"{apart.mean():+.4f} [{low:+.4f}, {high:+.4f}]"
            lines.append(cells)
        about = {"collection": file.stem, "seeds": rows["seed"].nunique(), "steps": f"{rows['steps'].iloc[0]:,}"}
        texts.append(NOTE.format(tasks=len(groups), **about))
        texts.append(table(["part", "change", "area 1-25", "difference [95 %]"], lines) + "\n")
    write_between(DOCS, "ablations", "\n".join(texts))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "report"])
    parser.add_argument("collections", nargs="*")
    parser.add_argument("--steps", type=int, default=1_000)
    parser.add_argument("--keep", type=Path, help="folder of the meta-trained processes")
    given = parser.parse_args()
    if given.what == "report":
        report()
    else:
        for each in given.collections:
            run(each, given.keep, given.steps)
