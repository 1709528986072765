"""`autometa replay`: how policies would have fared on recorded tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from autometa.errors import InputError
from autometa.policies.alone import learned_alone
from autometa.records.reading import read_collections
from autometa.records.replays import Factory, Replays, Settings
from autometa.records.sources import Elsewhere, Folds
from autometa.records.stress import STRESSES
from autometa.search.replay_policies import COLD, POLICIES, SEEDLESS, SLOW, policies_with, shipped_process

if TYPE_CHECKING:
    from autometa.policies.learned_process import LearnedProcess
    from autometa.records.collection import Collection
    from autometa.records.regret import Curves

POINTS = (1, 5, 10, 25, 50)
LONGER = 1.3  # under stress, replays go on for so many times the trials, to see what is still reached
LEAST_SHOWN = 1e-4  # of the plot: below it the budget is as good as spent
WORSE = 0.01  # regret by which a task counts as harmed


@dataclass(frozen=True)
class Outcome:
    """Replays on one collection.

    Attributes:
        name: of the collection.
        curves: policies on all its tasks; those that are replayed on a sample are left out.
        sample: all policies on the sample; None where no policy is slow, or the sample is everything.
        stress: a row per policy and kind of misleading sources; None unless asked for.
        alone: whether it is the only collection of its folder.
    """

    name: str
    curves: Curves
    sample: Curves | None
    stress: pd.DataFrame | None
    alone: bool = True


def replay(
    folder: Path,
    *,
    sources: Sequence[Path] = (),
    folds: int = 10,
    policies: Sequence[str],
    settings: Settings,
    checkpoint: Path | None = None,
    stress: bool = False,
    say: Callable[[str], None],
) -> Iterator[Outcome]:
    """Replay policies on each collection of a folder, one after the other.

    Args:
        folder: recorded tasks, or several such folders in one.
        sources: recorded tasks to learn from; none for folds of the same collection.
        folds: by dataset.
        policies: names.
        settings: how.
        checkpoint: of the process of the learned policies; None for the shipped one.
        stress: whether the sources are made to mislead as well.
        say: is told how far it is.

    Raises:
        InputError: an unknown policy, or nothing to replay.
        ModelError: a folder or the checkpoint cannot be read.
    """
    unknown = sorted(set(policies) - set(POLICIES))
    if unknown or not policies:
        raise InputError(f"policies are some of {', '.join(POLICIES)}; got {', '.join(unknown) or 'none'}")
    process = _process(checkpoint) if {"learned", "learned_alone"} & set(policies) else None
    if "learned_alone" in policies:
        learned_alone(process)
    named = policies_with(process)
    factories = {name: named[name] for name in dict.fromkeys(policies)}
    learned_from = [c for path in sources for c in read_collections(path)]
    collections = read_collections(folder)
    for collection in collections:
        say(f"{collection.card.name}: {len(collection.names)} tasks, {len(collection.configs)} configs")
        known = set(_learned_from(process, collection)) & set(collection.names)
        if known:
            say(f"the process has learned from {len(known)} of these tasks: on them its regret is too good")
        found = _one(collection, learned_from, folds, factories, settings, stress=stress, say=say)
        yield replace(found, alone=len(collections) == 1)


def every_policy(checkpoint: Path | None) -> list[str]:
    """Names of all policies, but of learned_alone only where there is a process."""
    there = checkpoint is not None or shipped_process() is not None
    return [name for name in POLICIES if there or name != "learned_alone"]


def _process(checkpoint: Path | None) -> LearnedProcess | None:
    from autometa.policies.learned_process import LearnedProcess  # late: it brings in torch

    return shipped_process() if checkpoint is None else LearnedProcess.load(checkpoint)


def _learned_from(process: LearnedProcess | None, collection: Collection) -> list[str]:
    """Names of the tasks of a collection that a process has learned from, as its card says."""
    cards = [] if process is None else process.card.get("collections", [])
    return [name for card in cards if card["name"] == collection.card.name for name in card["learned_from"]]


def _one(
    collection: Collection,
    learned_from: Sequence[Collection],
    folds: int,
    factories: Mapping[str, Factory],
    settings: Settings,
    *,
    stress: bool,
    say: Callable[[str], None],
) -> Outcome:
    around = Elsewhere.of(collection, learned_from) if learned_from else Folds.deal(collection, folds)
    names = list(factories)
    replays = Replays(around, factories, settings, SEEDLESS, SLOW)
    replays.run(say)
    sampled = replays.sampled
    slow = [n for n in names if n in SLOW and len(sampled) < len(replays.targets)]
    curves = replays.curves([n for n in names if n not in slow] or names, None if len(slow) < len(names) else sampled)
    sample = replays.curves(names, sampled) if slow and len(slow) < len(names) else None
    found = None
    if stress:
        found = _stress(around, factories, replace(settings, trials=round(LONGER * settings.trials)), say)
    return Outcome(collection.card.name, curves, sample, found)


def _stress(
    around: Folds | Elsewhere, factories: Mapping[str, Factory], settings: Settings, say: Callable[[str], None]
) -> pd.DataFrame:
    """Policies that learn, under sources that mislead, beside one that starts cold."""
    cold = next((n for n in ("tpe", *COLD) if n in factories), "random")
    learning = [n for n in factories if n not in COLD]
    factories = {cold: POLICIES[cold], **{n: factories[n] for n in learning}}
    clean = Replays(around, factories, settings, SEEDLESS, SLOW)
    numbers = clean.sampled if set(factories) & set(SLOW) else None
    rows = []
    for kind in ("", *STRESSES):
        say(f"sources: {kind or 'clean'}")
        replays = Replays(around, factories, replace(settings, stress=kind), SEEDLESS, SLOW)
        if kind:
            replays.factories = {n: factories[n] for n in learning}
            replays.found = {key: value for key, value in clean.found.items() if key[0] == cold}
        else:
            replays = clean
        replays.run(say)
        curves = replays.curves([cold, *learning], numbers)
        rows += [_stressed(kind or "clean", policy, cold, curves) for policy in (cold, *learning)]
    return pd.DataFrame(rows)


def _stressed(kind: str, policy: str, cold: str, curves: Curves) -> dict[str, object]:
    at = round(len(curves.x) / LONGER)
    mean, goal = curves.regret[policy].mean(axis=0), curves.regret[cold].mean(axis=0)[at - 1]
    there = np.flatnonzero(mean <= goal)
    early = min(25, at) - 1
    harmed = (curves.regret[policy][:, early] > curves.regret[cold][:, early] + WORSE).mean()
    return {
        "sources": kind,
        "policy": policy,
        **{f"regret_{k}": float(mean[k - 1]) for k in POINTS if k <= len(mean)},
        "cold": cold,
        "trials_to_cold": float(there[0] + 1) / at if len(there) else np.inf,
        "harmed": float(harmed),
    }


def summary(curves: Curves) -> pd.DataFrame:
    """A row per policy, as people read it."""
    rows = []
    for policy in curves.policies:
        mean = curves.regret[policy].mean(axis=0)
        row: dict[str, object] = {"policy": policy}
        row |= {f"@{k}": float(mean[k - 1]) for k in POINTS if k <= len(mean)}
        row |= {f"area 1-{k}": float(curves.area(policy, k).mean()) for k in (25, 50) if k <= len(mean)}
        row["rank @25"] = float(curves.rank[policy].mean(axis=0)[min(25, len(mean)) - 1])
        if "random" in curves.policies:
            factor, censored = curves.speed_up(policy)
            row |= {"speed-up": factor, "never": censored}
        rows.append(row | {"ms": float(curves.milliseconds[policy].mean())})
    return pd.DataFrame(rows)


def write(outcome: Outcome, folder: Path, *, x: str) -> list[Path]:
    """Write regret.csv, regret.svg and what else there is; the paths of the files.

    Args:
        outcome: of one collection.
        folder: for the files.
        x: what regret is shown against.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"regret": outcome.curves} | ({"regret_sample": outcome.sample} if outcome.sample else {})
    written = []
    for name, curves in parts.items():
        table = curves.table()
        table.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")
        plot(table, folder / f"{name}.svg", f"{outcome.name}: {len(curves.tasks)} tasks", x=x)
        written += [folder / f"{name}.csv", folder / f"{name}.svg"]
    if outcome.stress is not None:
        outcome.stress.to_csv(folder / "stress.csv", index=False, float_format="%.6g")
        written.append(folder / "stress.csv")
    return written


def plot(table: pd.DataFrame, path: Path, title: str, *, x: str = "trials") -> None:
    """Mean regret with 95 % intervals, a line per policy, in the order of the area under it."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    axes = figure.add_subplot()
    colours = mpl.colormaps["tab20"]
    ordered = table.groupby("policy", sort=False)["mean_regret"].mean().sort_values().index
    for i, policy in enumerate(ordered):
        part = table[table["policy"] == policy]
        axes.fill_between(part["trial"], part["low"], part["high"], color=colours(i % 20), alpha=0.12, linewidth=0)
        axes.plot(part["trial"], part["mean_regret"], color=colours(i % 20), label=policy)
    axes.set_yscale("log")
    axes.set_ylim(bottom=max(LEAST_SHOWN, 0.5 * float(table["mean_regret"].min())), top=1.0)
    axes.set_xlabel(x)
    axes.set_ylabel("mean regret")
    axes.set_title(title)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    with mpl.rc_context({"svg.hashsalt": "autometa"}):  # the same picture is the same file
        figure.savefig(path, format="svg", metadata={"Date": None})
