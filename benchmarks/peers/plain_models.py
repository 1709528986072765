"""The sixteen untuned models of the plain recipe: each fits one fold and predicts two tables."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer

from benchmarks.peers import plain_network

Array = np.ndarray[Any, Any]
PATIENCE = 50


@dataclass(frozen=True)
class Fold:
    """One fit: rows to train on, rows to stop early on, and the test rows (all r x f, codes for categories).

    Attributes:
        categories: column numbers of the categorical columns (missing is NaN).
        classes: number of classes, 0 for regression; targets are class numbers or floats.
        stop: clock time (time.time) at which the fit must end with what it has.
    """

    train: Array
    target: Array
    valid: Array
    valid_target: Array
    test: Array
    categories: list[int]
    classes: int
    seed: int
    stop: float


Model = Callable[[Fold], tuple[Array, Array]]


def boosted(fold: Fold, **params: object) -> tuple[Array, Array]:
    """LightGBM with early stopping; a learning rate of 0.05 unless told otherwise."""
    objective = "regression" if not fold.classes else "binary" if fold.classes == 2 else "multiclass"
    settings = {
        "objective": objective,
        "learning_rate": 0.05,
        "num_threads": 1,
        "seed": fold.seed,
        "verbose": -1,
        **({"num_class": fold.classes} if fold.classes > 2 else {}),
        **params,
    }

    def clock(env: lightgbm.callback.CallbackEnv) -> None:
        if time.time() > fold.stop:
            raise lightgbm.EarlyStopException(env.iteration, env.evaluation_result_list)

    table = partial(lightgbm.Dataset, categorical_feature=fold.categories)
    train = table(fold.train, label=fold.target)
    model = lightgbm.train(
        settings,
        train,
        num_boost_round=2000,
        valid_sets=[table(fold.valid, label=fold.valid_target, reference=train)],
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False), clock],
    )
    return model.predict(fold.valid), model.predict(fold.test)


class _Clock:
    """Ends a CatBoost training when the time of the fit is over."""

    def __init__(self, stop: float) -> None:
        self.stop = stop

    def after_iteration(self, _info: object) -> bool:
        return time.time() < self.stop


def symmetric(fold: Fold, **params: object) -> tuple[Array, Array]:
    """CatBoost with early stopping; a learning rate of 0.08 and depth 6 unless told otherwise."""
    settings = {
        "iterations": 2000,
        "learning_rate": 0.08,
        "depth": 6,
        "thread_count": 1,
        "random_seed": fold.seed,
        "verbose": False,
        "allow_writing_files": False,
        "early_stopping_rounds": PATIENCE,
        **({"classes_count": fold.classes, "loss_function": "MultiClass"} if fold.classes > 2 else {}),
        **params,
    }

    def pool(rows: Array, target: Array | None = None) -> catboost.Pool:
        table = pd.DataFrame(rows)
        for i in fold.categories:
            table[i] = table[i].fillna(-1).astype(int)
        return catboost.Pool(table, target, cat_features=fold.categories)

    model = (catboost.CatBoostClassifier if fold.classes else catboost.CatBoostRegressor)(**settings)
    model.fit(
        pool(fold.train, fold.target),
        eval_set=pool(fold.valid, fold.valid_target),
        callbacks=[_Clock(fold.stop)],
    )
    predict = model.predict_proba if fold.classes else model.predict
    return predict(pool(fold.valid)), predict(pool(fold.test))


def _dense(fold: Fold) -> tuple[Array, Array, Array, int]:
    """Quantile-normal numbers, then one-hot categories (30 at most): three tables, and how many numbers lead."""
    numbers = [i for i in range(fold.train.shape[1]) if i not in set(fold.categories)]
    normal = QuantileTransformer(
        n_quantiles=min(1000, len(fold.train)), output_distribution="normal", random_state=fold.seed
    )
    fill = SimpleImputer(strategy="median", keep_empty_features=True)
    words = OneHotEncoder(max_categories=30, handle_unknown="infrequent_if_exist", sparse_output=False)
    steps = [
        ("numbers", make_pipeline(fill, normal), numbers),
        ("missing", MissingIndicator(features="all"), numbers),
        ("categories", words, fold.categories),
    ]
    encode = ColumnTransformer([step for step in steps if step[2]])
    train = encode.fit_transform(fold.train)
    used = train.std(axis=0) > 0
    tables = [train, encode.transform(fold.valid), encode.transform(fold.test)]
    found = [rows[:, used].astype(np.float32) for rows in tables]
    return found[0], found[1], found[2], int(used[: len(numbers)].sum())


def _fitted(fold: Fold, model: Any, tables: tuple[Array, Array, Array]) -> tuple[Array, Array]:
    """Fit a scikit-learn model; a class that the fold lacks gets probability 0."""
    model.fit(tables[0], fold.target)
    if not fold.classes:
        return model.predict(tables[1]), model.predict(tables[2])
    found = []
    for rows in tables[1:]:
        shares = np.zeros((len(rows), fold.classes))
        shares[:, model.classes_.astype(int)] = model.predict_proba(rows)
        found.append(shares)
    return found[0], found[1]


def trees(fold: Fold, *, extra: bool, leaf: int = 1, features: float | None = None) -> tuple[Array, Array]:
    """Extra trees or a random forest, 300 trees, on codes; missing is -1 for a category, the median for a number."""
    tables = [fold.train.copy(), fold.valid.copy(), fold.test.copy()]
    medians = pd.DataFrame(fold.train).median().fillna(0).to_numpy(copy=True)
    medians[fold.categories] = -1
    for rows in tables:
        gaps = np.isnan(rows)
        rows[gaps] = np.broadcast_to(medians, rows.shape)[gaps]
    kinds = (ExtraTreesClassifier, ExtraTreesRegressor) if extra else (RandomForestClassifier, RandomForestRegressor)
    share = features or ("sqrt" if fold.classes else 1.0)
    model = kinds[0 if fold.classes else 1](
        n_estimators=300, min_samples_leaf=leaf, max_features=share, n_jobs=1, random_state=fold.seed
    )
    return _fitted(fold, model, (tables[0], tables[1], tables[2]))


def neighbours(fold: Fold) -> tuple[Array, Array]:
    """The 20 nearest neighbours, weighted by distance."""
    kind = KNeighborsClassifier if fold.classes else KNeighborsRegressor
    model = kind(n_neighbors=min(20, len(fold.train)), weights="distance", n_jobs=1)
    return _fitted(fold, model, _dense(fold)[:3])


def linear(fold: Fold) -> tuple[Array, Array]:
    """Logistic regression, or ridge regression."""
    model = LogisticRegression(C=1.0, max_iter=300) if fold.classes else Ridge(alpha=1.0)
    return _fitted(fold, model, _dense(fold)[:3])


def network(fold: Fold, **shape: Any) -> tuple[Array, Array]:
    """A residual network on quantile-normal numbers and one-hot categories."""
    train, valid, test, numbers = _dense(fold)
    targets = (fold.target, fold.valid_target)
    return plain_network.fit((train, valid, test), targets, numbers, fold.classes, fold.seed, fold.stop, **shape)


RECIPE: list[tuple[str, Model]] = [
    ("lightgbm", boosted),
    ("catboost", symmetric),
    ("network", network),
    ("extra_trees", partial(trees, extra=True)),
    ("lightgbm_extra", partial(boosted, extra_trees=True)),
    ("network_periodic", partial(network, frequencies=8)),
    ("lightgbm_128", partial(boosted, num_leaves=128)),
    ("neighbours", neighbours),
    ("catboost_8", partial(symmetric, depth=8)),
    ("linear", linear),
    ("forest", partial(trees, extra=False)),
    ("lightgbm_small", partial(boosted, num_leaves=8, feature_fraction=0.5)),
    ("network_wide", partial(network, width=512, dropout=0.3)),
    ("catboost_4", partial(symmetric, depth=4)),
    ("extra_trees_leaf", partial(trees, extra=True, leaf=5, features=0.5)),
    ("network_periodic_narrow", partial(network, width=128, frequencies=8, dropout=0.2)),
]
