"""The plain recipe: a fixed list of sixteen untuned models, a greedy ensemble of them, and no search.

Up to 4,000 training rows each model is bagged over five folds (its test predictions are averaged over
them); above, one holdout of 10 to 25 % serves. Two processes with one thread each work through the list in
order until it ends or the time does; models that did not finish all their folds are left out.
"""

import multiprocessing
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, StratifiedKFold

from benchmarks.peers.contract import Job, Predict, Predictions, run
from benchmarks.peers.plain_models import RECIPE, Array, Fold
from benchmarks.scoring import area

BAGGED_ROWS, FOLDS, STEPS = 4000, 5, 30
RESERVE = 3.0  # seconds kept for the ensemble and for writing


def folds(target: Array, classification: bool, seed: int) -> list[tuple[Array, Array]]:  # noqa: FBT001
    """Row numbers (train, valid): five folds, or one holdout where there are more than 4,000 rows."""
    rows = len(target)
    bagged = rows <= BAGGED_ROWS
    parts = FOLDS if bagged else round(1 / min(0.25, max(0.1, 2500 / rows)))
    kind = StratifiedKFold if classification else KFold
    found = list(kind(parts, shuffle=True, random_state=seed).split(np.zeros(rows), target))
    return found if bagged else found[:1]


def loss(target: Array, found: Array, metric: str) -> float:
    """The metric as a loss; ``found`` is (rows, classes), or (rows,) for regression."""
    if metric == "auc":
        return 1 - area(target == 1, found[:, 1])
    if metric == "log_loss":
        given = found[np.arange(len(target)), target]
        return float(-np.log(np.maximum(given, 1e-15)).mean())
    return float(np.sqrt(np.mean((target - found) ** 2)))


def greedy(candidates: list[Array], target: Array, metric: str) -> Array:
    """Weights of a greedy ensemble with replacement (Caruana et al. 2004)."""
    counts = np.zeros(len(candidates))
    total = np.zeros_like(candidates[0])
    for step in range(1, STEPS + 1):
        losses = [loss(target, (total + one) / step, metric) for one in candidates]
        chosen = int(np.argmin(losses))
        counts[chosen] += 1
        total = total + candidates[chosen]
    return counts / STEPS


def codes(job: Job) -> tuple[Array, Array, list[int]]:
    """Training and test rows as floats, categories as their codes, missing as NaN."""
    both = pd.concat([job.train, job.test], ignore_index=True)
    for name in job.categories:
        column = pd.Series(pd.Categorical(both[name].astype(object))).cat.codes
        both[name] = column.where(column >= 0)
    values = both.to_numpy(dtype=float)
    numbers = [list(job.train).index(name) for name in job.categories]
    return values[: len(job.train)], values[len(job.train) :], numbers


def work(todo: list[tuple[int, int, Fold]], counter: Any, limit: float, end: float, folder: Path) -> None:
    """Take fits off the list, one after another, and leave each one's predictions in the folder."""
    while True:
        with counter.get_lock():
            place = counter.value
            counter.value += 1
        if place >= len(todo):
            return
        model, part, fold = todo[place]
        name, fit = RECIPE[model]
        stop = min(end, time.time() + limit)
        try:
            valid, test = fit(Fold(**{**fold.__dict__, "stop": stop}))
        except Exception:  # noqa: BLE001 - one model that fails must not end the list
            traceback.print_exc()
            continue
        if fold.classes == 2 and valid.ndim == 1:
            valid, test = (np.column_stack([1 - one, one]) for one in (valid, test))
        if not (np.isfinite(valid).all() and np.isfinite(test).all()):
            print(f"{name}: predictions are not finite", file=sys.stderr)
            continue
        draft = folder / f"{model}-{part}.draft.npz"
        np.savez(draft, valid=valid, test=test)
        draft.rename(folder / f"{model}-{part}.npz")


def fit(job: Job) -> Predict:
    """Work through the list with two processes, then weigh what was finished."""
    names = sorted(job.target.unique()) if job.classification else []
    target = job.target.map({name: i for i, name in enumerate(names)}) if names else job.target
    y = target.to_numpy(dtype=int if names else float)
    train, test, categories = codes(job)
    parts = folds(y, job.classification, job.seed)
    todo = [
        (model, part, Fold(train[rows], y[rows], train[held], y[held], test, categories, len(names), job.seed, 0.0))
        for model in range(len(RECIPE))
        for part, (rows, held) in enumerate(parts)
    ]
    folder = job.folder / "fits"
    folder.mkdir()
    limit = job.time_limit * (0.1 if len(parts) > 1 else 0.3)
    end = time.time() + job.left() - RESERVE
    context = multiprocessing.get_context("fork")
    counter = context.Value("i", 0)
    workers = [context.Process(target=work, args=(todo, counter, limit, end, folder)) for _ in range(job.workers)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(max(0.0, end - time.time()))
    for worker in workers:
        if worker.is_alive():
            worker.kill()
            worker.join()
    held = np.concatenate([rows for _, rows in parts])
    valid, predictions, used = [], [], []
    for model, (name, _) in enumerate(RECIPE):
        paths = [folder / f"{model}-{part}.npz" for part in range(len(parts))]
        if all(path.exists() for path in paths):
            results = [np.load(path) for path in paths]
            valid.append(np.concatenate([one["valid"] for one in results]))
            predictions.append(np.mean([one["test"] for one in results], axis=0))
            used.append(name)
    if not used:
        raise RuntimeError("no model of the list finished in the time limit")
    weights = greedy(valid, y[held], job.metric)
    print({name: round(float(weight), 3) for name, weight in zip(used, weights, strict=True)}, file=sys.stderr)
    values = np.tensordot(weights, np.stack(predictions), axes=1)
    return lambda _: Predictions(values, names or None)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    run(fit)
