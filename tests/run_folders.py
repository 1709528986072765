"""Made-up run folders that look like real ones, for the tests of the report."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from autometa.search.describe import describe_data
from autometa.search.evidence import collect_evidence
from autometa.search.run_folder import RunFolder
from autometa.space import Space
from autometa.tables.metrics import resolve_metric
from autometa.tables.table import Features, Kind, Table

COLUMNS = [
    *("rank", "trial", "state", "loss", "score", "folds", "weight", "algorithm", "source"),
    *("seconds", "elapsed", "error", "config"),
]
LEARNERS = ["lightgbm", "catboost", "network", "extra_trees", "tabm", "xgboost", "linear", "random_forest"]
FAILURES = [
    "MemoryError: the fit was stopped at 2.1 GB, above its share of --memory",
    "stopped: 38 s, longer than the 20 s that were left for one fit",
    "ValueError: the matrix is singular",
]


@dataclass
class Data:
    """A table, the raw frame it came from, and something that predicts it well enough."""

    table: Table
    frame: pd.DataFrame
    target: str
    predict: Callable[[Features], np.ndarray]


def make_data(kind: Kind, *, rows: int = 1_200, classes: int = 5, columns: int = 0, seed: int = 0) -> Data:
    """A census, a set of wines, or flats with their prices; `columns` more of noise."""
    rng = np.random.default_rng(seed)
    age = rng.normal(41, 13, rows).clip(17, 90).round()
    hours = rng.normal(40, 11, rows).clip(1, 99).round()
    gain = np.where(rng.random(rows) < 0.09, rng.lognormal(8.5, 0.9, rows), 0.0).round()
    area = rng.lognormal(4.2, 0.45, rows).round(1)
    schooling = rng.integers(0, 6, rows)
    city = (rng.zipf(1.7, rows) % 40).astype(np.int64)
    area[rng.random(rows) < 0.08] = np.nan
    names = ("age", "hours_per_week", "capital_gain", "area")
    frame = pd.DataFrame(
        {
            "age": age,
            "hours_per_week": hours,
            "capital_gain": gain,
            "area": area,
            "schooling": np.array(["none", "primary", "secondary", "bachelor", "master", "doctor"])[schooling],
            "city": [f"city {c}" for c in city],
            "row_id": [f"R{i:06d}" for i in range(rows)],
            "country": "NL",
        }
    )
    extra = rng.normal(size=(rows, columns))
    noise = pd.DataFrame(extra, columns=[f"sensor_{i:03d}" for i in range(columns)])
    frame = pd.concat([frame, noise], axis=1)
    frame.loc[rng.random(rows) < 0.02, "city"] = None

    def signal(features: Features) -> np.ndarray:
        x, c = np.nan_to_num(features.numbers[:, :4], nan=65.0), features.categories
        return (
            0.05 * (x[:, 0] - 41) + 0.04 * (x[:, 1] - 40) + 0.00005 * x[:, 2] + 0.012 * (x[:, 3] - 68) + 0.55 * c[:, 0]
        ) - 1.9

    features = Features(
        np.column_stack([frame[list(names)].to_numpy(float), extra]).astype(np.float32),
        np.column_stack([schooling, city]).astype(np.int32),
        (6, 40),
        (*names, *(f"sensor_{i:03d}" for i in range(columns))),
        ("schooling", "city"),
    )
    raw = signal(features)
    if kind == "regression":
        value = np.round(np.exp(11.8 + 0.28 * raw + rng.normal(0, 0.16, rows)), -2)
        table = Table(features, value)
        frame["price"] = value
        return Data(table, frame, "price", lambda f: np.exp(11.8 + 0.28 * signal(f))[:, None].astype(np.float32))
    if kind == "binary":
        labels = ("<=50K", ">50K")

        def predict(f: Features) -> np.ndarray:
            p = 1 / (1 + np.exp(-1.1 * signal(f)))
            return np.column_stack([1 - p, p]).astype(np.float32)

        codes = (rng.random(rows) < 1 / (1 + np.exp(-1.3 * raw))).astype(np.int64)
    else:
        labels = tuple(f"class {i}" for i in range(classes))
        centres = np.quantile(raw, (np.arange(classes) + 0.5) / classes)

        def predict(f: Features) -> np.ndarray:
            logits = -((signal(f)[:, None] - centres) ** 2) * 2
            p = np.exp(logits - logits.max(axis=1, keepdims=True))
            return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)

        codes = np.abs((raw + rng.normal(0, 0.5, rows))[:, None] - centres).argmin(axis=1)
    frame["income"] = np.array(labels)[codes]
    return Data(Table(features, codes, labels), frame, "income", predict)


def make_run(
    path: Path,
    kind: Kind = "binary",
    *,
    trials: int = 40,
    data: Data | None = None,
    evidence: bool = True,
    phase: str = "done",
    findings: list[dict[str, object]] | None = None,
    seed: int = 1,
) -> RunFolder:
    """A run folder with everything the report reads; `phase` is "new", "running" or "done"."""
    rng = np.random.default_rng(seed)
    data = data or make_data(kind)
    table = data.table
    metric = resolve_metric(None, table.kind)
    folder = RunFolder.create(path)
    folder.write_run(
        {
            "version": "0.1.0",
            "started": 1_700_000_000.0,
            "settings": {
                "data": "examples/data/census.csv",
                "target": data.target,
                "task": "auto",
                "metric": None,
                "time_limit": 120.0,
                "trials": None,
                "space": "tabular",
                "seed": 0,
                "workers": 2,
                "memory": 4 * 2**30,
                "policy": "portfolio",
            },
            "kind": table.kind,
            "classes": list(table.classes),
            "rows": len(table),
            "rows_total": len(table) * 3,
            "metric": metric.name,
            "target_name": data.target,
            "target": {"kind": table.kind},
            "findings": FINDINGS if findings is None else findings,
            "versions": {"python": "3.11.9", "scikit-learn": "1.9.0", "lightgbm": "4.7.0", "torch": "2.13.0"},
            "plan": {"folds": 5, "repeats": 1, "search_rows": len(table)},
        }
    )
    if phase != "new":
        _write_trials(folder, trials, table, rng, running=phase == "running")
    if evidence and phase == "done":
        predictions = data.predict(table.features)
        content = collect_evidence(
            table,
            np.arange(len(table)),
            predictions,
            None,
            data.predict,
            metric,
            seconds=1.0,
            seed=0,
        )
        numbers = data.frame.select_dtypes("number").columns
        roles = {name: "number" if name in numbers else "category" for name in data.frame}
        roles |= {"row_id": "id", "country": "constant"}
        content["data"] = describe_data(data.frame, data.target, classes=table.classes, roles=roles)
        folder.write_json(folder.path / "report.json", content)
    folder.unlock()
    return folder


def _write_trials(folder: RunFolder, trials: int, table: Table, rng: np.random.Generator, *, running: bool) -> None:
    metric = resolve_metric(None, table.kind)
    space = Space.load("tabular")
    level, spread = {"auc": (0.93, 0.05), "log_loss": (0.62, 0.3)}.get(metric.name, (31_000.0, 6_000.0))
    sign = 1 if metric.greater_is_better else -1
    rows, history, best, clock = [], [], -math.inf, 3.0
    for number in range(trials):
        learner = LEARNERS[number % len(LEARNERS)] if number < 12 else str(rng.choice(LEARNERS[:5]))
        seconds = float(rng.gamma(2.0, 1.2))
        clock += seconds / 2
        state = str(
            rng.choice(["complete", "complete", "complete", "pruned", "failed"], p=[0.3, 0.3, 0.22, 0.11, 0.07])
        )
        state = "complete" if number == 0 else state
        score = level - sign * spread * float(rng.gamma(1.2, 0.5)) * (1.5 if state == "pruned" else 1)
        score += sign * spread * 0.25 * (1 - math.exp(-number / 12))
        config = space.sample(rng) | {"algorithm": learner}
        rows.append(
            {
                "trial": number,
                "state": state,
                "score": "" if state == "failed" else score,
                "loss": "" if state == "failed" else (1 - score if sign > 0 else score),
                "folds": {"failed": 0, "pruned": 1}.get(state, 5),
                "weight": 0.0,
                "algorithm": learner,
                "source": f"portfolio: {learner}" if number < 12 else "tpe",
                "seconds": seconds,
                "elapsed": clock,
                "error": str(rng.choice(FAILURES)) if state == "failed" else "",
                "config": json.dumps(space.complete(config)),
            }
        )
        if state == "complete" and sign * score > best:
            best = sign * score
            history.append([clock, score + sign * spread * 0.06])
    complete = [r for r in rows if r["state"] == "complete"]
    complete.sort(key=lambda r: -sign * float(r["score"]))
    for row, weight in zip(complete, [0.34, 0.22, 0.16, 0.1, 0.08, 0.06, 0.04], strict=False):
        row["weight"] = weight
    ranked = complete + [r for r in rows if r["state"] == "pruned"] + [r for r in rows if r["state"] == "failed"]
    with folder.leaderboard.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS)
        writer.writeheader()
        for rank, row in enumerate(ranked, 1):
            writer.writerow({"rank": rank} | row)
    states = [r["state"] for r in rows]
    scores: dict[str, object] = {
        "executor": "local processes (2)",
        "metric": metric.name,
        "direction": "maximize" if metric.greater_is_better else "minimize",
        "validation_score": history[-1][1],
        "trials": trials,
        "failed_trials": states.count("failed"),
        "pruned_trials": states.count("pruned"),
        "seconds": clock + 4,
        "policy": "portfolio",
        "warm_start": {"source": "portfolio-1", "configs": 12},
        "best_single_score": sign * best,
        "ensemble_size": sum(float(str(r["weight"])) > 0 for r in rows),
        "history": history,
    }
    if not running:
        scores["test_score"] = history[-1][1] - sign * spread * 0.04
    folder.write_json(folder.metrics, scores)


FINDINGS: list[dict[str, object]] = [
    {
        "code": "leak",
        "message": "column 'capital_gain' nearly determines the target on its own; is it known when you predict? "
        "If not, leave it out of the table",
        "columns": ["capital_gain"],
    },
    {
        "code": "dropped-id",
        "message": "'row_id' has a different value in each row and was left out",
        "columns": ["row_id"],
    },
    {"code": "dropped-constant", "message": "'country' has one value only and was left out", "columns": ["country"]},
    {"code": "target-chosen", "message": "no --target was given: the last column, 'income', was taken", "columns": []},
]
