"""Optuna's TPE over LightGBM: what a user who tunes by hand writes.

Two trials at a time with one thread each. Up to 4,000 rows a trial is five folds, and the models of the best
trial's folds are averaged; above, a trial is one holdout of 20 %, and the best one is refitted on all rows.
"""

import sys
import threading
import time
from typing import Any

import lightgbm
import numpy as np
import optuna
import pandas as pd
from sklearn.model_selection import KFold, StratifiedKFold

from benchmarks.peers.contract import Job, Predict, Predictions, run

BAGGED_ROWS, FOLDS, ROUNDS, PATIENCE = 4000, 5, 2000, 50
SEARCH_SHARE = 0.85  # of the time limit where a refit follows
RESERVE = 2.0  # seconds for predicting and writing
METRICS = {"auc": "auc", "log_loss": "multi_logloss", "rmse": "rmse"}
OBJECTIVES = {"binary": "binary", "multiclass": "multiclass", "regression": "regression"}
DEFAULTS = {
    "learning_rate": 0.1,
    "num_leaves": 31,
    "min_data_in_leaf": 20,
    "feature_fraction": 1.0,
    "bagging_fraction": 1.0,
    "extra_trees": False,
    "cat_smooth": 10.0,
    "lambda_l1": 1e-4,
    "lambda_l2": 1e-4,
}


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """The ranges of TabArena's LightGBM space (its learning rate reaching up to LightGBM's default)."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.005, 0.1, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 2, 200, log=True),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 1, 64, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.4, 1.0),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.7, 1.0),
        "extra_trees": trial.suggest_categorical("extra_trees", [False, True]),
        "cat_smooth": trial.suggest_float("cat_smooth", 0.001, 100.0, log=True),
        "lambda_l1": trial.suggest_float("lambda_l1", 1e-4, 1.0),
        "lambda_l2": trial.suggest_float("lambda_l2", 1e-4, 2.0),
    }


def fit(job: Job) -> Predict:
    """Search, then keep the fold models of the best trial or refit it."""
    names = sorted(job.target.unique()) if job.classification else []
    target = job.target.map({name: i for i, name in enumerate(names)}) if names else job.target
    y = target.to_numpy(dtype=float)
    bagged = len(y) <= BAGGED_ROWS
    kind = StratifiedKFold if names else KFold
    parts = list(kind(FOLDS, shuffle=True, random_state=job.seed).split(job.train, y))[: None if bagged else 1]
    fixed = {
        "objective": OBJECTIVES[job.task],
        "metric": METRICS[job.metric],
        "num_threads": 1,
        "bagging_freq": 1,
        "seed": job.seed,
        "verbose": -1,
        **({"num_class": len(names)} if len(names) > 2 else {}),
    }
    end = time.time() + (job.left() - RESERVE) * (1.0 if bagged else SEARCH_SHARE)

    def clock(_: lightgbm.callback.CallbackEnv) -> None:
        if time.time() > end:
            raise optuna.TrialPruned("the time is over")

    guard = threading.Lock()
    best: dict[str, Any] = {}

    def objective(trial: optuna.Trial) -> float:
        params = suggest(trial)
        models, losses = [], []
        for rows, held in parts:
            train = lightgbm.Dataset(job.train.iloc[rows], y[rows])
            valid = lightgbm.Dataset(job.train.iloc[held], y[held], reference=train)
            stopping = lightgbm.early_stopping(PATIENCE, verbose=False)
            model = lightgbm.train(fixed | params, train, ROUNDS, valid_sets=[valid], callbacks=[stopping, clock])
            models.append(model)
            losses.append(model.best_score["valid_0"][fixed["metric"]])
        value = float(np.mean(losses)) * (-1 if job.metric == "auc" else 1)
        with guard:
            if not best or value < best["value"]:
                best.update(value=value, params=params, models=models)
        return value

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=job.seed, multivariate=True, constant_liar=True)
    )
    study.enqueue_trial(DEFAULTS)
    study.optimize(objective, timeout=end - time.time(), n_jobs=job.workers)
    print(f"{len(study.trials)} trials", file=sys.stderr)
    if not best:
        raise RuntimeError("no trial finished in the time limit")
    models = best["models"]
    if not bagged:
        settings = fixed | best["params"] | {"num_threads": job.workers}
        rounds = models[0].best_iteration
        models = [lightgbm.train(settings, lightgbm.Dataset(job.train, y), rounds)]

    def predict(frame: pd.DataFrame) -> Predictions:
        values = np.mean([model.predict(frame) for model in models], axis=0)
        if len(names) == 2:
            values = np.column_stack([1 - values, values])
        return Predictions(values, names or None)

    return predict


if __name__ == "__main__":
    run(fit)
