"""What the examples share: means with intervals, a table on the screen, results in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

LOST = 1e3  # an error beyond all errors of a start: the inner loop has diverged


def interval(values: np.ndarray) -> tuple[float, float]:
    """Mean of values (seeds, tasks) and the half-width of its 95 % interval.

    All seeds were judged on the same tasks. Seeds and tasks are resampled (1,000 times): both chances are in it.
    Tasks that have diverged would drown the others: they are left out.
    """
    generator = np.random.default_rng(0)
    seeds, tasks = values.shape
    values = np.where(values < LOST, values, np.nan)
    means = []
    for _ in range(1_000):
        some = values[generator.integers(seeds, size=seeds)]
        means.append(np.nanmean(some[:, generator.integers(tasks, size=tasks)]))
    low, high = np.quantile(means, [0.025, 0.975])
    return float(np.nanmean(values)), float(high - low) / 2


def with_interval(values: np.ndarray, *, digits: int = 3) -> str:
    """The same for people; tasks that have diverged are counted."""
    mean, half = interval(values)
    lost = ~(values < LOST)
    note = f" ({lost.sum()} of {lost.size} diverge)" if lost.any() else ""
    return f"{mean:.{digits}f} ± {half:.{digits}f}{note}"


def once(path: Path, made_by: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """What ``make`` returned when it was made by the same settings before, from a file; else it is made and kept."""
    if path.exists():
        with np.load(path) as kept:
            if str(kept["made_by"]) == made_by:
                return np.asarray(kept["found"])
    found = make()
    beside = path.with_name(path.name + ".tmp")
    with beside.open("wb") as handle:
        np.savez(handle, found=found, made_by=np.array(made_by))
    beside.replace(path)
    return found


def as_markdown(rows: Sequence[Mapping[str, object]]) -> str:
    """A table with the keys of the first row as its columns."""
    names = list(rows[0])
    lines = [names, ["---", *("---:" for _ in names[1:])], *([str(row[name]) for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def report(rows: Sequence[Mapping[str, object]], into: Path, name: str) -> None:
    """Print a table and write it to ``NAME.md`` and ``NAME.csv`` in a folder."""
    into.mkdir(parents=True, exist_ok=True)
    text = as_markdown(rows)
    print(text)
    (into / f"{name}.md").write_text(text, encoding="utf-8")
    pd.DataFrame(rows).to_csv(into / f"{name}.csv", index=False)
