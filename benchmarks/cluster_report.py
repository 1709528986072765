"""What the simulated searches of benchmarks.clusters come to: a section of docs/clusters.md, and its plot.

python -m benchmarks.cluster_report
"""

from pathlib import Path

import numpy as np
import pandas as pd

from autometa.records.regret import bootstrap_weights
from benchmarks.clusters import (
    COUNTS,
    GOAL_DRAWS,
    GOAL_TRIALS,
    MOST_AHEAD,
    POLICIES,
    RESULTS,
    ROUNDS,
    SHARE_AHEAD,
    SHORTEST,
    WORKERS,
    searches,
)
from benchmarks.report import table, write_between

ROOT = Path(__file__).resolve().parent.parent
PLOT = ROOT / "docs" / "clusters" / "simulated.svg"
DOCS = ROOT / "docs" / "clusters.md"
SHOWN_TIMES = (0.25, 1.0, 5.0)  # of these, in the table
LEAST_SHOWN = 1e-4  # regret below which the plot looks no further
NOTE = (
    "A simulation: a virtual clock, workers that never wait for one another, and the real policies. A policy "
    "proposes freely in the space; the nearest recorded config of the same branch answers with its loss and its "
    "seconds, so that every answer is a recorded number. Pending trials are in the history of every policy (TPE: "
    "`constant_liar`, one Optuna study kept through the search). Proposals are asked for {share} workers at a time, "
    "{most} at most. A search ends when max({shortest}, {rounds} x workers) trials have been started. *Goal*: the "
    "median of the best of {goal} random trials, from {draws:,} draws; *time to it* in mean evaluations of random "
    "configs, so that one worker at random takes about {goal}; a search that never gets there counts as infinitely "
    "long. *Again*: share of proposals that equal an earlier one, done or under way: the same choices, and all "
    "numbers in the same thousandth of their ranges. {tasks}, evenly taken by difficulty; ten folds by dataset, and "
    "a policy learns from the other nine. *learned* goes without its meta-trained process: the shipped one was "
    "trained on these very tables. One seed for each policy and task, ten for random. Medians over tasks with 95 % "
    "intervals by bootstrap over datasets. The tables are surrogates of one network each, which flatters whoever "
    "learns from other tasks. `python -m benchmarks.clusters`, then `python -m benchmarks.cluster_report`."
)
READING = (
    "The first trials to end are the cheap ones: the more workers, the less a given number of finished trials says. "
    "From some number of workers on, the goal is reached by the first good trial that ends, whoever proposed it: more "
    "workers then save no time. *Regret at*: mean over tasks after so many mean evaluations. *Per second*: proposals "
    "per second of real time, all in one process on a busy machine, median over searches; *learned* and the others are "
    "asked for one at a time with 1 and 8 workers, for 64 with 512 and more. source_mixture proposes recorded configs "
    "alone as long as there are any, and knows what the other tasks made of the very ones that answer: an advantage "
    "that a search on a new table does not give it.\n"
)


def weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of values of shape (T,) under each row of weights, (b, T), shape (b,); infinite values are allowed."""
    order = np.argsort(values)
    reached = weights[:, order].cumsum(axis=1) >= 0.5 - 1e-9
    return values[order][reached.argmax(axis=1)]


def summed(rows: pd.DataFrame, column: str, how: str) -> tuple[float, float, float]:
    """The median or mean over tasks with a 95 % interval; seeds of a task are put together first, in the same way."""
    by_task = rows.groupby("task").agg(value=(column, how), group=("group", "first"))
    values, weights = by_task["value"].to_numpy(), bootstrap_weights(by_task["group"].to_numpy(), seed=0)
    if how == "mean":
        found, all_of_them = weights @ values, values.mean()
    else:
        found, all_of_them = weighted_median(values, weights), np.median(values)
    low, high = np.quantile(found, [0.025, 0.975], method="nearest")
    return float(all_of_them), float(low), float(high)


def against(rows: pd.DataFrame, policy: str, peer: str) -> str:
    """On how many tasks a policy reaches the goal before a peer, at the same moment, and after it."""
    times = rows.groupby(["policy", "task"])["time"].median()
    one, other = times[policy], times[peer].loc[times[policy].index]
    return f"{(one < other).sum()} / {(one == other).sum()} / {(one > other).sum()}"


def lines(rows: pd.DataFrame) -> list[list[str]]:
    """The table of one collection, a line for each policy and number of workers."""
    found = []
    for workers in WORKERS:
        part = rows[rows["workers"] == workers]
        for policy in POLICIES:
            own = part[part["policy"] == policy]
            time, low, high = summed(own, "time", "median")
            cells = [
                f"{workers:,} {policy}",
                f"{time:.2f} [{low:.2f}, {high:.2f}]",
                f"{np.isinf(own['time']).mean():.0%}",
            ]
            cells.append("" if policy == "tpe" else against(part, policy, "tpe"))
            cells += [f"{summed(own, f'at_time_{t:g}', 'mean')[0]:.4f}" for t in SHOWN_TIMES]
            cells += [f"{summed(own, f'at_trial_{k}', 'mean')[0]:.4f}" for k in COUNTS]
            found.append([*cells, f"{own['again'].mean():.2%}", f"{own['per_second'].median():,.0f}"])
    return found


def draw(collections: dict[str, pd.DataFrame]) -> None:
    """Time to the goal, and regret at equal time and at equal trials, against the number of workers."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    panels = [
        ("time", "median", "time to the goal, mean evaluations"),
        ("at_time_1", "mean", "mean regret after 1 mean evaluation"),
        (f"at_trial_{COUNTS[-1]}", "mean", f"mean regret after {COUNTS[-1]} trials"),
    ]
    figure = Figure(figsize=(11.0, 3.4 * len(collections)), layout="constrained")
    grid = figure.subplots(len(collections), len(panels), squeeze=False)
    for axes_row, (name, rows) in zip(grid, collections.items(), strict=True):
        for axes, (column, how, label) in zip(axes_row, panels, strict=True):
            for i, policy in enumerate(POLICIES):
                own = rows[rows["policy"] == policy]
                points = np.array([summed(own[own["workers"] == w], column, how) for w in WORKERS])
                middle, low, high = np.where(np.isinf(points), np.nan, np.maximum(points, LEAST_SHOWN)).T
                colour, x = f"C{i}", np.array(WORKERS) * 1.06 ** (i - 1.5)  # beside one another
                top = np.where(np.isnan(high), axes_top(rows, column), high)
                axes.vlines(x, np.where(np.isnan(low), top, low), top, color=colour, alpha=0.35)
                axes.plot(x, middle, "o-", color=colour, markersize=4, label=policy)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xticks(WORKERS, [f"{w}" if w < 1_000 else f"{w // 1_000}k" for w in WORKERS])
            axes.minorticks_off()
            axes.set_xlabel("workers")
            axes.set_title(f"{name}\n{label}", fontsize=9)
            axes.grid(visible=True, alpha=0.3)
    grid[0, 0].legend(frameon=False)
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "autometa"}):  # the same picture is the same file
        figure.savefig(PLOT, format="svg", metadata={"Date": None})


def axes_top(rows: pd.DataFrame, column: str) -> float:
    """The largest finite value: where an interval that has no end is cut off."""
    return float(rows.loc[np.isfinite(rows[column]), column].max())


def complete(rows: pd.DataFrame) -> pd.DataFrame:
    """The tasks that all searches have been made on."""
    wanted = set(searches(POLICIES))
    done = {
        task
        for task, own in rows.groupby("task")
        if wanted <= set(zip(own["policy"], own["workers"], own["seed"], strict=True))
    }
    return rows[rows["task"].isin(done)]


def report() -> None:
    """Write the section between its markers, and the plot."""
    collections = {p.stem: complete(pd.read_csv(p, dtype={"task": str})) for p in sorted(RESULTS.glob("*.csv"))}
    draw(collections)
    note = NOTE.format(
        share=f"1/{SHARE_AHEAD} of the",
        most=MOST_AHEAD,
        shortest=SHORTEST,
        rounds=ROUNDS,
        goal=GOAL_TRIALS,
        draws=GOAL_DRAWS,
        tasks=" and ".join(f"{rows['task'].nunique()} tasks of {name}" for name, rows in collections.items()),
    )
    head = ["workers, policy", "time to goal [95 %]", "never", "before / with / after tpe"]
    head += [f"regret at {t:g}" for t in SHOWN_TIMES] + [f"after {k} trials" for k in COUNTS] + ["again", "per second"]
    parts = [
        "## Scale, simulated\n",
        note + "\n",
        "![a simulated cluster](clusters/simulated.svg)\n",
        "Where there is no point, more than half of the searches never got there; regret is cut off at 0.0001.\n",
    ]
    for name, rows in collections.items():
        parts.append(f"### {name}\n\n{table(head, lines(rows))}\n")
    parts.append(READING)
    write_between(DOCS, "simulated", "\n".join(parts))


if __name__ == "__main__":
    report()
