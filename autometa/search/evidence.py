"""What the report shows of the final model: where it is right, where wrong, and what it looks at.

Everything is computed from out-of-fold predictions, thinned to what a chart can show, and plain JSON.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from autometa.search.importance import permutation_importance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.tables.metrics import Metric
    from autometa.tables.table import Features, Table

MOST_ROWS = 200_000
MOST_CLASSES = 20  # in the confusion matrix; the others count as one
MOST_SCORED = 200  # classes with scores of their own
MOST_PAIRS = 12
CURVE_POINTS = 160
BINS = 12
POINTS = 1_500  # rows up to which single predictions are shown, and a density above
GRID = 44


def collect_evidence(
    table: Table,
    rows: NDArray[np.intp],
    predictions: NDArray[np.floating],
    threshold: float | None,
    predict: Callable[[Features], NDArray[np.floating]],
    metric: Metric,
    *,
    seconds: float,
    seed: int,
    origins: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The content of report.json.

    Args:
        table: all rows that the search looked at.
        rows: those of the table with out-of-fold predictions, shape (n,).
        predictions: calibrated predictions of the ensemble for these, shape (n, c) or (n, 1).
        threshold: probability from which the second class is predicted; None for the likeliest class.
        predict: the final model, for permutation importance.
        metric: of the search.
        seconds: granted for all of this; importance stops in time.
        seed: draws samples.
        origins: original column of each number column, where the two differ.

    Returns:
        Plain values; which keys there are depends on the kind of task.
    """
    deadline = time.monotonic() + seconds
    if len(rows) > MOST_ROWS:
        chosen = np.sort(np.random.default_rng(seed).permutation(len(rows))[:MOST_ROWS])
        rows, predictions = rows[chosen], predictions[chosen]
    part = table.take(rows)
    evidence: dict[str, Any] = {"rows": len(part), "threshold": threshold, "guess_score": _guess(part, metric)}
    if table.classes:
        evidence |= _of_classes(part, predictions, threshold)
    elif len(part):
        evidence |= _of_numbers(part.target.astype(np.float64), predictions[:, 0].astype(np.float64))
    evidence["importance"] = permutation_importance(
        part,
        predict,
        metric,
        threshold=threshold,
        origins=origins or {},
        deadline=deadline,
        seed=seed,
    )
    content: dict[str, Any] = plain(evidence)
    return content


def plain(value: Any) -> Any:
    """The same with JSON's own types only: six digits, and null for what is no finite number."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(v) for v in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value if value is None else str(value)


def _guess(table: Table, metric: Metric) -> float:
    """Score of predicting the same for every row: the class shares, or the mean."""
    if not len(table):
        return math.nan
    if table.classes:
        constant = np.bincount(table.target.astype(np.int64), minlength=len(table.classes)) / len(table)
    else:
        constant = np.array([table.target.mean()])
    guesses = np.tile(constant, (len(table), 1))
    return metric.score_of(metric.loss(table.target, guesses, table.weights))


# Classes


def _of_classes(table: Table, predictions: NDArray[np.floating], threshold: float | None) -> dict[str, Any]:
    actual = table.target.astype(np.int64)
    binary = len(table.classes) == 2
    if binary and threshold is not None:
        predicted = (predictions[:, 1] >= threshold).astype(np.int64)
    else:
        predicted = predictions.argmax(axis=1)
    evidence: dict[str, Any] = {
        "accuracy": float((actual == predicted).mean()) if len(actual) else math.nan,
        "confusion": _confusion(actual, predicted, table.classes),
        "per_class": _per_class(actual, predicted, table.classes),
    }
    if binary:
        probability = predictions[:, 1]
        evidence["reliability"] = _reliability(probability, actual == 1)
        sides, of = _sides(actual, probability), table.classes[1]
        evidence["separation"] = {"names": list(table.classes), "of": of, "each": True, "counts": sides}
        if 0 < actual.sum() < len(actual):
            evidence |= _curves(actual, probability)
    else:
        confidence, right = predictions.max(axis=1), actual == predicted
        evidence["reliability"] = _reliability(confidence, right)
        sides, of = _sides(right.astype(np.int64), confidence), "the predicted class"
        evidence["separation"] = {"names": ["wrong", "right"], "of": of, "each": False, "counts": sides}
    return evidence


def _confusion(actual: NDArray[np.int64], predicted: NDArray[np.int64], classes: tuple[str, ...]) -> dict[str, Any]:
    """Counts by actual (outer) and predicted class, the rarest classes together as one."""
    many = len(classes)
    sizes = np.bincount(actual, minlength=many)
    shown = np.arange(many)
    if many > MOST_CLASSES:
        shown = np.sort(np.argsort(-sizes, kind="stable")[: MOST_CLASSES - 1])
    place = np.full(many, len(shown))
    place[shown] = np.arange(len(shown))
    width = len(shown) + (len(shown) < many)
    counts = np.bincount(place[actual] * width + place[predicted], minlength=width * width)
    pairs, times = np.unique((actual * many + predicted)[actual != predicted], return_counts=True)
    order = np.argsort(-times, kind="stable")[:MOST_PAIRS]
    return {
        "classes": [classes[c] for c in shown],
        "others": many - len(shown),
        "counts": counts.reshape(width, width).tolist(),
        "pairs": [
            {"actual": classes[pairs[i] // many], "predicted": classes[pairs[i] % many], "rows": times[i]}
            for i in order
        ],
    }


def _per_class(
    actual: NDArray[np.int64], predicted: NDArray[np.int64], classes: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class, the most frequent first."""
    many = len(classes)
    right = np.bincount(actual[actual == predicted], minlength=many)
    rows, said = np.bincount(actual, minlength=many), np.bincount(predicted, minlength=many)
    order = np.argsort(-rows, kind="stable")[:MOST_SCORED]
    return [
        {
            "class": classes[c],
            "rows": rows[c],
            "precision": right[c] / said[c] if said[c] else math.nan,
            "recall": right[c] / rows[c] if rows[c] else math.nan,
            "f1": 2 * right[c] / (rows[c] + said[c]) if rows[c] + said[c] else math.nan,
        }
        for c in order
    ]


def _reliability(confidence: NDArray[np.floating], happened: NDArray[np.bool_]) -> dict[str, Any]:
    """Predicted probability against how often it came true, in bins of equal size."""
    if not len(confidence):
        return {"bins": [], "error": math.nan}
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, BINS + 1)))
    codes = np.searchsorted(edges[1:-1], confidence, side="right")
    bins = []
    for code in range(max(1, len(edges) - 1)):
        inside = codes == code
        rows = int(inside.sum())
        if rows:
            share = float(happened[inside].mean())
            low, high = _wilson(share, rows)
            bins.append(
                {
                    "predicted": float(confidence[inside].mean()),
                    "observed": share,
                    "low": low,
                    "high": high,
                    "rows": rows,
                }
            )
    error = sum(b["rows"] * abs(b["predicted"] - b["observed"]) for b in bins) / len(confidence)
    return {"bins": bins, "error": error}


def _wilson(share: float, rows: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    z = 1.96
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)) / (1 + z * z / rows)
    return max(0.0, centre - half), min(1.0, centre + half)


def _curves(actual: NDArray[np.int64], probability: NDArray[np.floating]) -> dict[str, Any]:
    """ROC and precision-recall curves of the second class."""
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

    false, true, _ = roc_curve(actual, probability)
    precision, recall, _ = precision_recall_curve(actual, probability)
    return {
        "roc": {"points": _thinned(false, true), "area": float(roc_auc_score(actual, probability))},
        "precision_recall": {
            "points": _thinned(recall[::-1], precision[::-1]),
            "area": float(average_precision_score(actual, probability)),
            "share": float(actual.mean()),
        },
    }


def _thinned(x: NDArray[np.floating], y: NDArray[np.floating]) -> list[list[float]]:
    """Points of a curve about evenly spaced along its length, both ends kept."""
    along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    wanted = np.linspace(0, along[-1], CURVE_POINTS)
    keep = np.unique(np.append(np.searchsorted(along, wanted), len(x) - 1).clip(0, len(x) - 1))
    return [[float(x[i]), float(y[i])] for i in keep]


def _sides(side: NDArray[np.int64], probability: NDArray[np.floating]) -> list[list[int]]:
    """Rows of side 0 and of side 1 by probability, in 25 bins."""
    edges = np.linspace(0, 1, 26)
    return [np.histogram(probability[side == k], edges)[0].tolist() for k in (0, 1)]


# Numbers


def _of_numbers(actual: NDArray[np.float64], predicted: NDArray[np.float64]) -> dict[str, Any]:
    residual = actual - predicted
    size = np.abs(residual)
    total = float(((actual - actual.mean()) ** 2).sum())
    low, high = np.quantile(residual, [0.005, 0.995])
    inside = residual[(residual >= low) & (residual <= high)]
    counts, edges = np.histogram(inside, 41)
    return {
        "errors": {
            "half_within": float(np.quantile(size, 0.5)),
            "most_within": float(np.quantile(size, 0.9)),
            "mean": float(size.mean()),
            "root_mean_square": float(np.sqrt((residual**2).mean())),
            "explained": 1 - float((residual**2).sum()) / total if total > 0 else math.nan,
        },
        "residuals": {"counts": counts.tolist(), "low": edges[0], "high": edges[-1]},
        "agreement": _agreement(actual, predicted),
    }


def _agreement(actual: NDArray[np.float64], predicted: NDArray[np.float64]) -> dict[str, Any]:
    """Predicted against actual values: single rows of a small table, a density of a large one."""
    both = np.concatenate([actual, predicted])
    low, high = (float(v) for v in np.quantile(both, [0.002, 0.998]))
    # Prices and counts of many sizes would all sit in one corner of a linear chart.
    log = low > 0 and high / low > 200
    if high <= low:
        low, high = low - 0.5, high + 0.5
    scale = np.log if log else np.asarray
    a, p = scale(np.clip(actual, low, high)), scale(np.clip(predicted, low, high))
    span = (float(scale(low)), float(scale(high)))
    result: dict[str, Any] = {"low": low, "high": high, "log": log}
    if len(actual) <= POINTS:
        return result | {"points": [[float(x), float(y)] for x, y in zip(p, a, strict=True)]} | {"span": span}
    grid, _, _ = np.histogram2d(p, a, bins=GRID, range=(span, span))
    return result | {"grid": grid.astype(int).tolist(), "span": span}
