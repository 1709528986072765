"""What metrics compute: plain functions of target, predictions and weights, NaN where undefined.

Letters: n rows, c classes. Targets are (n,) class codes or values; shares are (n, c) probabilities;
labels are (n,) class codes; values are (n,) numbers; weights are (n,), or None for equal weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def mean(values: NDArray[Any], weights: Floats | None) -> float:
    """Weighted mean; NaN where no value has weight."""
    if weights is not None and not weights.sum() > 0:
        return float("nan")
    return float(np.average(values, weights=weights))


# Classes


def area_under_curve(positive: NDArray[np.bool_], values: Floats, weights: Floats | None = None) -> float:
    """Area under the ROC curve, ties counting half; NaN where one side is empty."""
    order = np.argsort(values)
    ordered = values[order]
    weight = np.ones(len(values)) if weights is None else weights[order].astype(np.float64)
    ones = np.where(positive[order], weight, 0.0)
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(values) - 1)
    ones_up_to = np.cumsum(ones)[last]
    zeros_up_to = np.cumsum(weight - ones)[last]
    total = ones_up_to[-1] * zeros_up_to[-1]
    if not total > 0:
        return float("nan")
    zeros_before = np.append(0.0, zeros_up_to[:-1])
    tied = np.diff(ones_up_to, prepend=0.0)
    return float((tied * (zeros_before + zeros_up_to)).sum() / (2 * total))


def auc(target: NDArray[Any], shares: Floats, weights: Floats | None) -> float:
    """Area under the ROC curve; for more than two classes the mean over them of one against the others."""
    if shares.shape[1] == 2:
        return area_under_curve(target == 1, shares[:, 1], weights)
    # One class against the others, the mean over classes (macro), of those that are there.
    areas = [area_under_curve(target == i, shares[:, i], weights) for i in range(shares.shape[1])]
    known = [area for area in areas if not np.isnan(area)]
    return float(np.mean(known)) if known else float("nan")


def log_loss(target: NDArray[Any], shares: Floats, weights: Floats | None) -> float:
    """Mean negative logarithm of the probability of the true class."""
    # As scikit-learn does: clipped at the resolution of the type they came in.
    clipped = np.clip(shares.astype(np.float64), np.finfo(shares.dtype).eps, 1.0)
    given = clipped[np.arange(len(target)), target] / clipped.sum(axis=1)
    return mean(-np.log(given), weights)


def brier(target: NDArray[Any], shares: Floats, weights: Floats | None) -> float:
    """Mean squared distance of the probabilities from the truth; half of it for two classes."""
    distance = shares.astype(np.float64)
    distance[np.arange(len(target)), target] -= 1
    squared = (distance**2).sum(axis=1)
    return mean(squared, weights) / (2 if shares.shape[1] == 2 else 1)


def accuracy(target: NDArray[Any], labels: NDArray[Any], weights: Floats | None) -> float:
    """Share of the rows that are rightly named."""
    return mean(target == labels, weights)


def counts_by_class(
    target: NDArray[Any], labels: NDArray[Any], weights: Floats | None
) -> tuple[Floats, Floats, Floats]:
    """Weight of the rows rightly named, of the rows, and of the rows named, each by class."""
    size = int(max(target.max(), labels.max())) + 1
    right = target == labels
    return (
        np.bincount(target[right], None if weights is None else weights[right], size).astype(np.float64),
        np.bincount(target, weights, size).astype(np.float64),
        np.bincount(labels, weights, size).astype(np.float64),
    )


def balanced_accuracy(target: NDArray[Any], labels: NDArray[Any], weights: Floats | None) -> float:
    """Mean over the classes of the share that is rightly named."""
    right, there, _ = counts_by_class(target, labels, weights)
    return float((right[there > 0] / there[there > 0]).mean()) if (there > 0).any() else float("nan")


def f1(target: NDArray[Any], labels: NDArray[Any], weights: Floats | None) -> float:
    """F1 of class 1."""
    right, there, named = counts_by_class(target, labels, weights)
    either = there + named
    scores = np.divide(2 * right, either, out=np.zeros(len(right)), where=either > 0)
    return float(scores[1]) if len(scores) > 1 else 0.0


def f1_macro(target: NDArray[Any], labels: NDArray[Any], weights: Floats | None) -> float:
    """Mean over the classes of their F1."""
    right, there, named = counts_by_class(target, labels, weights)
    either = there + named
    return float((2 * right[either > 0] / either[either > 0]).mean())


# Values


def rmse(target: NDArray[Any], values: Floats, weights: Floats | None) -> float:
    """Root mean squared error."""
    return float(np.sqrt(mean((target - values) ** 2, weights)))


def mae(target: NDArray[Any], values: Floats, weights: Floats | None) -> float:
    """Mean absolute error."""
    return mean(np.abs(target - values), weights)


def r2(target: NDArray[Any], values: Floats, weights: Floats | None) -> float:
    """Share of the variance that is explained."""
    spread = mean((target - mean(target, weights)) ** 2, weights)
    if not spread > 0:
        return float("nan")
    return float(1 - mean((target - values) ** 2, weights) / spread)


def mape(target: NDArray[Any], values: Floats, weights: Floats | None) -> float:
    """Mean absolute error as a share of the target."""
    share = np.abs(target - values) / np.maximum(np.abs(target), np.finfo(np.float64).eps)
    return mean(share, weights)


def rmsle(target: NDArray[Any], values: Floats, weights: Floats | None) -> float:
    """Root mean squared error of the logarithms of one plus the value."""
    if (target < 0).any():
        return float("nan")
    # A prediction below zero has no logarithm; zero is the nearest that has one.
    return rmse(np.log1p(target), np.log1p(np.maximum(values, 0)), weights)
