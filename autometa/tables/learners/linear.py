"""Logistic and linear regression with a ridge, lasso or mixed penalty, by one quasi-Newton method.

The lasso's kink is removed by writing each weight as the difference of two that are not negative.
Letters: n rows, f columns, k outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autometa.errors import ModelError
from autometa.tables.learners.contract import Fitted, Job
from autometa.tables.preprocess import Design
from autometa.tables.state import State

ITERATIONS = 300
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Linear:
    """A fitted linear model.

    Attributes:
        weights: shape (f, k).
        intercepts: shape (k,).
        classes: whether a softmax follows.
    """

    weights: NDArray[np.float32]
    intercepts: NDArray[np.float32]
    classes: bool

    @property
    def width(self) -> int:
        """Number of columns that it reads."""
        return len(self.weights)

    @property
    def outputs(self) -> int:
        """Columns of a prediction."""
        return len(self.intercepts)

    def predict(self, design: Design) -> NDArray[np.float32]:
        """Probabilities or values, shape (n, k)."""
        if design.width != self.width:
            raise ModelError(f"the linear model reads {self.width} columns; it was given {design.width}")
        scores = design.numbers @ self.weights + self.intercepts
        return _softmax(scores) if self.classes else scores

    def state(self) -> State:
        """What to save."""
        return State({"classes": self.classes}, {"weights": self.weights, "intercepts": self.intercepts})


def fit(job: Job) -> Fitted:
    """Minimise the loss plus the penalty."""
    from scipy.optimize import minimize

    numbers, config = job.train.design.numbers, job.config
    rows, width, outputs = len(job.train), numbers.shape[1], job.outputs
    weight = np.ones(rows) if job.train.weights is None else job.train.weights
    # As in scikit-learn, C times the sum of the losses stands against the penalty.
    penalty = 1.0 / (float(config["linear_C"]) * rows)
    mix = float(config["linear_l1_ratio"])
    lasso, ridge = penalty * mix, penalty * (1 - mix)
    loss = _log_loss if job.kind != "regression" else _squared
    target = np.eye(outputs)[job.train.target] if job.kind != "regression" else job.train.target[:, None]
    size = width * outputs

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        matrix, intercepts = _unpacked(flat, width, outputs, split=lasso > 0)
        scores = numbers @ matrix.astype(np.float32) + intercepts
        value, slope = loss(scores, target, weight)
        gradient = (numbers.T @ slope.astype(np.float32)).astype(np.float64) + ridge * matrix
        value += 0.5 * ridge * float((matrix**2).sum())
        if lasso > 0:
            value += lasso * float(flat[: 2 * size].sum())
            gradient = np.concatenate([gradient.ravel() + lasso, -gradient.ravel() + lasso])
        return value, np.concatenate([gradient.ravel(), slope.sum(axis=0)])

    late = False

    def clock(_: Any) -> None:
        nonlocal late
        if job.late:
            late = True
            raise StopIteration

    parts = 2 if lasso > 0 else 1
    bounds = [(0, None)] * (2 * size) + [(None, None)] * outputs if lasso > 0 else None
    found = minimize(
        objective,
        np.zeros(parts * size + outputs),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        callback=clock,
        options={"maxiter": ITERATIONS, "gtol": TOLERANCE, "ftol": 1e-9, "maxcor": 10},
    )
    matrix, intercepts = _unpacked(found.x, width, outputs, split=lasso > 0)
    learner = Linear(matrix.astype(np.float32), intercepts.astype(np.float32), job.kind != "regression")
    return Fitted(learner, stopped_by_clock=late)


def restore(state: State) -> Linear:
    """What ``state()`` gave."""
    weights = state.array("weights", np.float32, None, None)
    intercepts = state.array("intercepts", np.float32, weights.shape[1])
    return Linear(weights, intercepts, bool(state.settings["classes"]))


def _unpacked(
    flat: NDArray[np.float64], width: int, outputs: int, *, split: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    size = width * outputs
    weights = flat[:size] - flat[size : 2 * size] if split else flat[:size]
    return weights.reshape(width, outputs), flat[-outputs:]


def _softmax(scores: NDArray[Any]) -> NDArray[Any]:
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]


def _log_loss(
    scores: NDArray[Any], target: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Mean loss, and its slope by score."""
    centred = (scores - scores.max(axis=1, keepdims=True)).astype(np.float64)
    total = np.exp(centred).sum(axis=1, keepdims=True)
    shares = np.exp(centred) / total
    value = float((weight * (np.log(total[:, 0]) - (centred * target).sum(axis=1))).mean())
    return value, (shares - target) * (weight[:, None] / len(target))


def _squared(
    scores: NDArray[Any], target: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Mean of half the squared error, and its slope by value."""
    error = scores.astype(np.float64) - target
    return float(0.5 * (weight[:, None] * error**2).mean()), error * (weight[:, None] / len(target))
