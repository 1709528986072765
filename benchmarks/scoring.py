"""The split, the scores and the keys of the end-to-end comparison: one code for every system."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

TEST_SHARE = 0.3
METRICS = {"binary": "auc", "multiclass": "log_loss", "regression": "rmse"}
LARGER_IS_BETTER = {"auc": True, "log_loss": False, "rmse": False}


def split(table: pd.DataFrame, *, task: str, seed: int, target: str = "target") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test part (70/30), stratified for classes; the same rows for the same seed, always."""
    train, test = train_test_split(
        table,
        test_size=TEST_SHARE,
        random_state=seed,
        stratify=None if task == "regression" else table[target],
    )
    return train.reset_index(drop=True), test.reset_index(drop=True)


def area(positive: "np.ndarray[Any, Any]", values: "np.ndarray[Any, Any]") -> float:
    """Area under the ROC curve, ties counting half (Mann and Whitney's statistic)."""
    ranks = pd.Series(values).rank().to_numpy()
    ones = int(positive.sum())
    zeros = len(positive) - ones
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def score(target: "pd.Series[Any]", predictions: pd.DataFrame, metric: str) -> float:
    """Score predictions as a peer wrote them.

    Args:
        target: of the test rows; classes are read as strings.
        predictions: one column ``proba_CLASS`` per class, or ``prediction``; one row per test row.
        metric: "auc" (the second class in sorted order is the positive one), "log_loss" or "rmse".

    Raises:
        ValueError: rows are missing, a value is not finite, or no known class has a column.
    """
    if len(predictions) != len(target):
        raise ValueError(f"one prediction per test row is needed: {len(predictions)} for {len(target)} rows")
    if metric == "rmse":
        values = predictions["prediction"].to_numpy(dtype=float)
        _check_finite(values)
        return float(np.sqrt(np.mean((target.to_numpy(dtype=float) - values) ** 2)))
    truth = target.astype(str)
    classes = sorted(truth.unique())
    known = {name.removeprefix("proba_") for name in predictions if name.startswith("proba_")}
    if not known & set(classes):
        raise ValueError(f"columns proba_CLASS are needed for the classes {classes}, got {list(predictions)}")
    classes = sorted(known | set(classes))
    # A class the system never saw has no column: it gave it probability 0.
    shares = predictions.reindex(columns=[f"proba_{name}" for name in classes], fill_value=0.0)
    values = shares.to_numpy(dtype=float)
    _check_finite(values)
    if metric == "auc":
        return area((truth == classes[1]).to_numpy(), values[:, 1])
    values = values / values.sum(axis=1, keepdims=True)
    return float(log_loss(truth, values, labels=classes))


def constant_score(train: "pd.Series[Any]", test: "pd.Series[Any]", metric: str) -> float:
    """The score of what needs no model: the mean of the training part, or its class shares."""
    if metric == "auc":
        return 0.5
    if metric == "rmse":
        return score(test, pd.DataFrame({"prediction": np.full(len(test), train.to_numpy(dtype=float).mean())}), metric)
    shares = train.astype(str).value_counts(normalize=True)
    rows = {f"proba_{name}": np.full(len(test), share) for name, share in shares.items()}
    return score(test, pd.DataFrame(rows), metric)


def _check_finite(values: "np.ndarray[Any, Any]") -> None:
    if not np.isfinite(values).all():
        raise ValueError(f"predictions must be finite: {int((~np.isfinite(values)).sum())} are not")
