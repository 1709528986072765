"""Metrics: how good predictions are, and the loss that a search lowers.

Letters: n rows, c classes. Predictions are (n, c) probabilities, or (n, 1) values for regression.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import signature
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from autometa.errors import InputError
from autometa.tables import measures
from autometa.tables.measures import Floats
from autometa.tables.table import Kind

Response = Literal["proba", "label", "value"]
# Target (n,), predictions shaped by the response, weights (n,) or None; NaN where undefined.
Measure = Callable[[NDArray[Any], NDArray[Any], Floats | None], float]

DEFAULTS: dict[Kind, str] = {"binary": "auc", "multiclass": "log_loss", "regression": "rmse"}


@dataclass(frozen=True)
class Metric:
    """A metric and its direction.

    Attributes:
        name: what the user called it.
        greater_is_better: the direction of its own value.
        response: what it is measured on: probabilities, the class with the largest one, or values.
        measure: its own value.
        best: the value that a perfect model has, where greater is better; the loss counts from it.
    """

    name: str
    greater_is_better: bool
    response: Response
    measure: Measure
    best: float = 1.0

    def loss(
        self,
        target: NDArray[Any],
        predictions: Floats,
        weights: Floats | None = None,
        *,
        threshold: float | None = None,
    ) -> float:
        """The metric as a loss: lower is better, NaN where it is undefined.

        Args:
            target: shape (n,), class codes or values.
            predictions: shape (n, c) or (n, 1).
            weights: shape (n,), or None for equal weights.
            threshold: least probability of class 1 that says class 1, for two classes and labels.
        """
        shown: NDArray[Any] = predictions
        if self.response == "value":
            shown = predictions.reshape(len(target)).astype(np.float64)
        elif self.response == "label":
            if threshold is not None and predictions.shape[1] == 2:
                shown = (predictions[:, 1] >= threshold).astype(np.int64)
            else:
                shown = predictions.argmax(axis=1)
        value = self.measure(target, shown, weights) if len(target) else float("nan")
        return self.best - value if self.greater_is_better else value

    def score_of(self, loss: float) -> float:
        """The metric's own value, from its loss."""
        return self.best - loss if self.greater_is_better else loss


def _metrics(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


_MULTICLASS = _metrics(
    Metric("auc", greater_is_better=True, response="proba", measure=measures.auc),
    Metric("log_loss", greater_is_better=False, response="proba", measure=measures.log_loss),
    Metric("accuracy", greater_is_better=True, response="label", measure=measures.accuracy),
    Metric("balanced_accuracy", greater_is_better=True, response="label", measure=measures.balanced_accuracy),
    Metric("f1", greater_is_better=True, response="label", measure=measures.f1_macro),
    Metric("brier", greater_is_better=False, response="proba", measure=measures.brier),
)
_BUILT_IN: dict[Kind, dict[str, Metric]] = {
    "multiclass": _MULTICLASS,
    "binary": _MULTICLASS | _metrics(Metric("f1", greater_is_better=True, response="label", measure=measures.f1)),
    "regression": _metrics(
        Metric("rmse", greater_is_better=False, response="value", measure=measures.rmse),
        Metric("mae", greater_is_better=False, response="value", measure=measures.mae),
        Metric("r2", greater_is_better=True, response="value", measure=measures.r2),
        Metric("mape", greater_is_better=False, response="value", measure=measures.mape),
        Metric("rmsle", greater_is_better=False, response="value", measure=measures.rmsle),
    ),
}


def resolve_metric(name: str | None, kind: Kind) -> Metric:
    """The metric of that name for the kind of task, or the default of the kind.

    Raises:
        InputError: there is no such metric, or it does not fit the kind.
    """
    name = name or DEFAULTS[kind]
    built_in = _BUILT_IN[kind]
    if name in built_in:
        return built_in[name]
    if any(name in metrics for metrics in _BUILT_IN.values()):
        raise _misfit(name, kind)
    return _scorer(name, kind)


def _misfit(name: str, kind: Kind) -> InputError:
    return InputError(
        f"the metric must fit the task, which is {kind}; {name!r} does not; use one of "
        f"{', '.join(_BUILT_IN[kind])} or a scikit-learn scorer that does"
    )


def _scorer(name: str, kind: Kind) -> Metric:
    """A scikit-learn scorer, through the function behind it: no estimator is needed."""
    from sklearn.metrics import get_scorer, get_scorer_names

    if name not in get_scorer_names():
        known = [*_BUILT_IN[kind], *get_scorer_names()]
        near = get_close_matches(name, known, 3) or list(_BUILT_IN[kind])
        raise InputError(f"there is no metric {name!r}; did you mean {', '.join(near)}?")
    scorer = get_scorer(name)
    # No public way leads from a scorer to its function; a test holds these names.
    asked = scorer._response_method  # noqa: SLF001
    function, sign, options = scorer._score_func, scorer._sign, scorer._kwargs  # noqa: SLF001
    on_labels = asked == "predict"
    takes_labels = "labels" in signature(function).parameters and not on_labels

    def measure(target: NDArray[Any], shown: NDArray[Any], weights: Floats | None) -> float:
        given = dict(options)
        if weights is not None:
            given["sample_weight"] = weights
        if shown.ndim == 2:
            if takes_labels:
                given["labels"] = np.arange(shown.shape[1])
            shown = shown[:, 1] if shown.shape[1] == 2 and name not in _BOTH_COLUMNS else shown
            shown = shown.astype(np.float64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return float(sign * function(target, shown, **given))
            except ValueError:
                # Undefined here, such as a ranking with a single class.
                return float("nan")

    response: Response = "value" if kind == "regression" else "label" if on_labels else "proba"
    metric = Metric(name, greater_is_better=True, response=response, measure=measure, best=0.0)
    # Measures of clusterings take anything and say nothing about a prediction.
    if function.__module__.startswith("sklearn.metrics.cluster") or not _fits(metric, kind):
        raise _misfit(name, kind)
    return metric


# Scorers that want a column for each class also where there are two.
_BOTH_COLUMNS = {"neg_log_loss", "d2_log_loss_score"}


def _fits(metric: Metric, kind: Kind) -> bool:
    """Whether the scorer gives a number on a tiny task of the kind, and not on one of the other."""
    classes = 2 if kind == "binary" else 3
    codes = np.arange(12) % classes
    shares = np.full((12, classes), 0.1)
    shares[np.arange(12), codes] = 1 - 0.1 * (classes - 1)
    values = np.linspace(1.0, 2.5, 12)
    if kind == "regression":
        return bool(np.isfinite(metric.measure(values, values + 0.1, None)))
    shown = codes if metric.response == "label" else shares
    # What reads class codes as quantities is a regression metric, and would rank the classes.
    quantity = metric.response == "label" and np.isfinite(metric.measure(values, values + 0.1, None))
    return bool(np.isfinite(metric.measure(codes, shown, None))) and not quantity
