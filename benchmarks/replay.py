"""Replay policies on recorded tasks, keep what each came to on each task, and write the section of docs/benchmarks.md.

python -m benchmarks.replay run oboe yahpo_lcbench meta_datasets/tabular
python -m benchmarks.replay report

A bare name is a folder of hpo_tables in the data folder (AUTOMETA_DATA, else ../shared/data); results go to
benchmarks/results/replay.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from autometa.records.reading import read_collection
from autometa.records.regret import bootstrap_weights, holm
from autometa.records.replays import Replays, Settings
from autometa.records.sources import Folds
from autometa.search.replay_policies import POLICIES, SEEDLESS, SLOW
from autometa.search.replaying import plot
from benchmarks.report import table, write_between

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("AUTOMETA_DATA", ROOT.parent / "shared" / "data"))
RESULTS = ROOT / "benchmarks" / "results" / "replay"
PLOTS = ROOT / "docs" / "replay"
DOCS = ROOT / "docs" / "benchmarks.md"
NOTE = (
    "Mean regret after k trials: (best validation loss so far - least) / (largest - least) over the task's pool, a "
    "failed evaluation counting as the largest; seeds averaged, then a bootstrap over datasets. Ten folds by dataset, "
    "families and near-duplicates together; a policy learns from the other nine. `python -m benchmarks.replay`.\n"
)
LEARNED = (
    "On oboe the process of the learned policy is meta-trained anew for each fold (`python -m benchmarks.learned`). "
    "Alone it loses to the mixture of sources there; with copies and covariance it is level with it.\n"
)
FAST = [n for n in POLICIES if n not in (*SLOW, "learned_alone")]
DECLARED = ("source_mixture", "portfolio_tpe")  # what a learned policy has to beat; named before anything was measured


def folder_of(name: str) -> Path:
    """A path as it is, or the public table of that name."""
    return Path(name) if Path(name).is_dir() else DATA / "hpo_tables" / name


def run(names: list[str], policies: list[str], settings: Settings) -> None:
    """Replay policies on collections; what is there already of other policies is kept."""
    for name in names:
        collection = read_collection(folder_of(name))
        begun = time.monotonic()
        replays = Replays(Folds.deal(collection, 10), {p: POLICIES[p] for p in policies}, settings, SEEDLESS, SLOW)
        replays.run(lambda line: print(line, file=sys.stderr))
        keep(replays, collection.card.name, policies)
        print(f"{collection.card.name}: {time.monotonic() - begun:.0f} s")


def keep(replays: Replays, name: str, policies: Sequence[str]) -> None:
    """Write what each policy came to on each task, one file for each policy."""
    for policy in policies:
        numbers = replays.sampled if policy in SLOW else None
        curves = replays.curves([policy], numbers)
        goal = RESULTS / name / f"{policy}.csv"
        goal.parent.mkdir(parents=True, exist_ok=True)
        frame = pd.DataFrame(curves.regret[policy], columns=[f"{int(x)}" for x in curves.x])
        frame.insert(0, "task", curves.tasks)
        frame.insert(1, "group", curves.group)
        frame.insert(2, "ms", curves.milliseconds[policy].mean())
        frame.insert(3, "ms_p95", np.quantile(curves.milliseconds[policy], 0.95))
        frame.insert(4, "test_25", curves.test_regret[policy][:, min(24, len(curves.x) - 1)])
        frame.insert(5, "rank_25", curves.rank[policy][:, min(24, len(curves.x) - 1)])
        frame.to_csv(goal, index=False, float_format="%.5g")


@dataclass(frozen=True)
class Result:
    """Replays of one policy on one collection: a row per task, a column per trial."""

    frame: pd.DataFrame

    @classmethod
    def read(cls, path: Path) -> "Result":
        """As :func:`run` wrote it."""
        return cls(pd.read_csv(path, dtype={"task": str}).set_index("task"))

    @property
    def regret(self) -> pd.DataFrame:
        """By task and trial."""
        return self.frame[[c for c in self.frame.columns if c.isdigit()]]

    def area(self, upto: int) -> "pd.Series[float]":
        """Mean regret of the first trials, by task."""
        return self.regret.iloc[:, :upto].mean(axis=1)


def interval(values: "pd.Series[float]", group: "pd.Series[int]") -> tuple[float, float]:
    """A 95 % interval of the mean, by bootstrap over groups."""
    means = bootstrap_weights(group.to_numpy(), seed=0) @ values.to_numpy()
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def row(name: str, result: Result, best: Result | None) -> list[str]:
    """One line of the table of a collection."""
    mean = result.regret.mean()
    cells = [f"{mean[str(k)]:.4f}" for k in (1, 5, 10, 25, 50)]
    group = result.frame["group"]
    low, high = interval(result.area(25), group)
    cells += [f"{result.area(25).mean():.4f} [{low:.4f}, {high:.4f}]", f"{result.area(50).mean():.4f}"]
    if best is not None:
        apart = (result.area(25) - best.area(25)).dropna()
        low, high = interval(apart, group.loc[apart.index])
        cells.append(f"{apart.mean():+.4f} [{low:+.4f}, {high:+.4f}]")
    else:
        cells.append("")
    test = result.frame["test_25"].mean()
    cells += [
        "" if np.isnan(test) else f"{test:.4f}",
        f"{result.frame['rank_25'].mean():.3f}",
        f"{result.frame['ms'].iloc[0]:.1f} / {result.frame['ms_p95'].iloc[0]:.1f}",
    ]
    return [name, str(len(result.frame)), *cells]


def section(folder: Path) -> str:
    """The part of the page about one collection, and its plot."""
    results = {n: Result.read(folder / f"{n}.csv") for n in POLICIES if (folder / f"{n}.csv").exists()}
    portfolio = results.get("portfolio")
    ordered = sorted(results, key=lambda n: float(results[n].area(25).mean()))
    head = [
        "policy", "tasks", "@1", "@5", "@10", "@25", "@50", "area 1-25 [95 %]", "area 1-50",
        "area 1-25 against portfolio [95 %]", "test @25", "rank @25", "ms mean / p95",
    ]  # fmt: skip
    lines = [row(n, results[n], None if n == "portfolio" else portfolio) for n in ordered]
    draw(folder.name, results)
    return f"### {folder.name}\n\n{table(head, lines)}\n\n![regret on {folder.name}](replay/{folder.name}.svg)\n"


def draw(name: str, results: dict[str, Result]) -> None:
    """Mean regret by trial, with intervals."""
    parts = []
    for policy, result in results.items():
        weights = bootstrap_weights(result.frame["group"].to_numpy(), seed=0)
        low, high = np.quantile(weights @ result.regret.to_numpy(), [0.025, 0.975], axis=0)
        mean = result.regret.mean().to_numpy()
        trials = np.arange(1, len(mean) + 1)
        parts.append(pd.DataFrame({"policy": policy, "trial": trials, "mean_regret": mean, "low": low, "high": high}))
    PLOTS.mkdir(exist_ok=True)
    plot(pd.concat(parts), PLOTS / f"{name}.svg", name)


def contrasts(policy: str) -> str:
    """The contrasts named beforehand, adjusted over the collections."""
    found = []
    for folder in sorted(p for p in RESULTS.iterdir() if (p / f"{policy}.csv").exists()):
        for against in DECLARED:
            if against == policy or not (folder / f"{against}.csv").exists():
                continue
            one, other = Result.read(folder / f"{policy}.csv"), Result.read(folder / f"{against}.csv")
            for upto in (25, 50):
                apart = (one.area(upto) - other.area(upto)).dropna()
                means = bootstrap_weights(one.frame.loc[apart.index, "group"].to_numpy(), seed=0) @ apart.to_numpy()
                low, high = np.quantile(means, [0.025, 0.975])
                p_value = min(1.0, 2 * min(float((means >= 0).mean()), float((means <= 0).mean())))
                found.append((folder.name, against, upto, apart.mean(), low, high, p_value))
    adjusted = holm([f[-1] for f in found])
    lines = [
        [name, against, f"1-{upto}", f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]", f"{p:.4f}", f"{q:.4f}"]
        for (name, against, upto, mean, low, high, p), q in zip(found, adjusted, strict=True)
    ]
    head = ["collection", "against", "area", "difference [95 %]", "p", "p (Holm)"]
    return f"### {policy} against what it has to beat\n\n{table(head, lines)}\n"


def report() -> None:
    """Write the section between its markers."""
    folders = sorted(p for p in RESULTS.iterdir() if p.is_dir())
    parts = [
        "## Replay on recorded tasks\n",
        NOTE,
        LEARNED,
        contrasts("learned"),
        contrasts("source_mixture"),
        *[section(folder) for folder in folders],
    ]
    write_between(DOCS, "replay", "\n".join(parts))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "report"])
    parser.add_argument("collections", nargs="*")
    parser.add_argument("--policies", default=",".join(FAST))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    policies = given.policies.split(",")
    settings = Settings(seeds=given.seeds, workers=given.workers)
    if given.what == "run":
        run(given.collections, policies, settings)
    else:
        report()


if __name__ == "__main__":
    main()
