"""Permutation importance by original column, as far as the time granted reaches.

A column's values are dealt out anew among the rows; how much worse the model gets is what the column
is worth to it (Breiman 2001; Fisher et al. 2019). Encoded columns that come from one original column
move together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autometa.search.relation import binned, common_levels, correlation_ratio
from autometa.tables.table import Features, Table

if TYPE_CHECKING:
    from autometa.tables.metrics import Metric

Predict = Callable[[Features], NDArray[np.floating]]

REPEATS = 5
FEWEST_REPEATS = 2
MOST_ROWS = 2_000
FEWEST_ROWS = 250
BATCH = 10_000  # rows predicted in one call: many members make calls on few rows dear
MOST_CELLS = 20_000_000  # of one call, to bound memory on wide tables
PROBE = 128
RELATION_ROWS = 5_000
LEAST_SECONDS = 0.3  # below this not even the model could be loaded


@dataclass(frozen=True)
class _Group:
    """Encoded columns that come from one original column."""

    name: str
    numbers: list[int]
    categories: list[int]


def permutation_importance(
    table: Table,
    predict: Predict,
    metric: Metric,
    *,
    threshold: float | None,
    origins: Mapping[str, str],
    deadline: float,
    seed: int,
) -> dict[str, Any]:
    """How much the loss rises when a column is shuffled, for as many columns as time allows.

    Columns that say most about the target on their own come first. Each repeat shuffles anew and
    looks at rows drawn with replacement, so the spread over repeats holds both kinds of chance.

    Args:
        table: r rows to measure on.
        predict: the model.
        metric: whose loss is compared.
        threshold: of the model, for metrics of labels.
        origins: original column of each number column; one that is missing stands for itself.
        deadline: on the clock of :func:`time.monotonic`.
        seed: draws rows and shuffles.

    Returns:
        "columns" ({"column", "mean", "std"}, the most important first), "done" and "total" columns,
        "rows" and "repeats".
    """
    groups = _in_order(table, origins, seed, deadline)
    result: dict[str, Any] = {"columns": [], "done": 0, "total": len(groups), "rows": 0, "repeats": 0}
    if not groups or not len(table) or time.monotonic() > deadline - LEAST_SECONDS:
        return result
    rng = np.random.default_rng([seed, 1])
    per_row = _seconds_per_row(table, predict)
    width = len(table.features.number_names) + len(table.features.category_names)
    left = deadline - time.monotonic()
    rows, repeats = _affordable(len(table), len(groups), per_row, left)
    rows = min(rows, max(1, MOST_CELLS // (width * repeats)))
    if per_row * rows > left:
        return result
    sample = table.take(np.sort(rng.permutation(len(table))[:rows]))
    base = predict(sample.features)
    draws = [rng.integers(0, rows, rows) for _ in range(repeats)]
    losses = [_loss(metric, sample, base, draw, threshold) for draw in draws]
    at_once = max(1, min(BATCH, MOST_CELLS // width) // (rows * repeats))
    slowest = per_row * rows * repeats * at_once
    for start in range(0, len(groups), at_once):
        begun = time.monotonic()
        if begun + slowest > deadline:
            break
        chunk = groups[start : start + at_once]
        shuffled = predict(_shuffled(sample.features, chunk, repeats, rng)).reshape(len(chunk), repeats, rows, -1)
        for group, parts in zip(chunk, shuffled, strict=True):
            gains = [
                _loss(metric, sample, part, draw, threshold) - loss
                for part, draw, loss in zip(parts, draws, losses, strict=True)
            ]
            known = [g for g in gains if np.isfinite(g)]
            if known:
                entry = {"column": group.name, "mean": float(np.mean(known)), "std": float(np.std(known))}
                result["columns"].append(entry)
        result["done"] += len(chunk)
        slowest = max(slowest, time.monotonic() - begun)
    result["columns"].sort(key=lambda c: -c["mean"])
    return result | {"rows": rows, "repeats": repeats}


def _in_order(table: Table, origins: Mapping[str, str], seed: int, deadline: float) -> list[_Group]:
    """The original columns, the most promising first, as far as there is time to look."""
    features = table.features
    rows = np.random.default_rng([seed, 2]).permutation(len(table))[:RELATION_ROWS]
    target = table.target[rows]
    groups: dict[str, _Group] = {}
    promise: dict[str, float] = {}
    for numeric, names in ((True, features.number_names), (False, features.category_names)):
        for place, encoded in enumerate(names):
            name = origins.get(encoded, encoded) if numeric else encoded
            group = groups.setdefault(name, _Group(name, [], []))
            (group.numbers if numeric else group.categories).append(place)
            promise.setdefault(name, 0.0)
            if time.monotonic() > deadline:
                continue
            values = (features.numbers if numeric else features.categories)[rows, place]
            codes = binned(np.asarray(values)) if numeric else common_levels(np.asarray(values))
            promise[name] = max(promise[name], correlation_ratio(codes, target))
    return sorted(groups.values(), key=lambda g: -promise[g.name])


def _seconds_per_row(table: Table, predict: Predict) -> float:
    probe = table.features.take(np.arange(min(PROBE, len(table))))
    # The first call may load the model.
    predict(probe.take(np.arange(1)))
    begun = time.monotonic()
    predict(probe)
    return (time.monotonic() - begun) / len(probe)


def _affordable(available: int, columns: int, per_row: float, seconds: float) -> tuple[int, int]:
    """Rows and repeats that let all columns be done in time, within bounds."""
    affordable = seconds / max(per_row, 1e-9) / columns
    repeats = int(np.clip(affordable // FEWEST_ROWS, FEWEST_REPEATS, REPEATS))
    rows = int(np.clip(affordable / repeats, FEWEST_ROWS, MOST_ROWS))
    return min(rows, available), repeats


def _shuffled(features: Features, groups: list[_Group], repeats: int, rng: np.random.Generator) -> Features:
    """One copy of the rows after the other, for each group and repeat, with that group shuffled."""
    rows, copies = len(features), len(groups) * repeats
    numbers = np.tile(features.numbers, (copies, 1))
    categories = np.tile(features.categories, (copies, 1))
    for copy in range(copies):
        group, order = groups[copy // repeats], rng.permutation(rows)
        own = slice(copy * rows, (copy + 1) * rows)
        for place in group.numbers:
            numbers[own, place] = features.numbers[order, place]
        for place in group.categories:
            categories[own, place] = features.categories[order, place]
    return replace(features, numbers=numbers, categories=categories)


def _loss(
    metric: Metric,
    sample: Table,
    predictions: NDArray[np.floating],
    draw: NDArray[np.intp],
    threshold: float | None,
) -> float:
    weights = None if sample.weights is None else sample.weights[draw]
    return metric.loss(sample.target[draw], predictions[draw], weights, threshold=threshold)
