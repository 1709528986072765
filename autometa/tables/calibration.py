"""Last touches on blended probabilities: a temperature where it helps log-loss, a threshold for labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from autometa.tables.metrics import Metric

PARTS = 5
# Metrics that read the probabilities themselves; ranks and labels gain nothing from a temperature.
CALIBRATED = frozenset({"log_loss", "brier"})
_TINY = 1e-7


@dataclass(frozen=True)
class Touch:
    """What is done to a prediction after blending.

    Attributes:
        temperature: probabilities are raised to 1/temperature and renormalised (Guo et al. 2017,
            "On calibration of modern neural networks"); 1 leaves them alone.
        threshold: probability of the second class from which it is predicted; None for the largest.
    """

    temperature: float = 1.0
    threshold: float | None = None

    def apply(self, probabilities: NDArray[np.floating]) -> NDArray[np.floating]:
        """Probabilities after the temperature, shape (n, c)."""
        if self.temperature == 1.0:
            return probabilities
        return _heated(np.log(np.clip(probabilities, _TINY, 1.0)), self.temperature)


def find_touch(
    probabilities: NDArray[np.floating],
    target: NDArray[np.generic],
    metric: Metric,
    *,
    weights: NDArray[np.float64] | None = None,
    seed: int = 0,
) -> Touch:
    """The temperature or threshold that helps on rows it was not chosen on; else none.

    Args:
        probabilities: blended out-of-fold probabilities, shape (n, c).
        target: class indices, shape (n,).
        metric: what is to improve.
        weights: sample weights, shape (n,).
        seed: draws the nested folds.
    """
    rows, classes = probabilities.shape
    if metric.name in CALIBRATED:
        finder, plain = _temperature, 1.0
    elif metric.response == "label" and classes == 2:
        finder, plain = _threshold, 0.5
    else:
        return Touch()

    def touched(value: float) -> Touch:
        return Touch(value) if metric.name in CALIBRATED else Touch(threshold=value)

    # One row more that is wrong, as in Platt 1999: where every row is right, any temperature below 1 would
    # help, until the first wrong row costs more than all of that.
    doubt = 1 / (rows + 2) if metric.name in CALIBRATED else 0.0
    others = (target + 1) % classes if doubt else target

    def loss(value: float, chosen: NDArray[np.bool_]) -> float:
        touch = touched(value)
        shown = touch.apply(probabilities[chosen])
        row_weights = None if weights is None else weights[chosen]
        right = metric.loss(target[chosen], shown, row_weights, threshold=touch.threshold)
        if not doubt:
            return right
        return (1 - doubt) * right + doubt * metric.loss(others[chosen], shown, row_weights)

    part_of_row = np.random.default_rng(seed).permutation(rows) % PARTS
    gains = []
    for part in range(PARTS):
        held_out = part_of_row == part
        value = finder(lambda v, rest=~held_out: loss(v, rest))  # type: ignore[misc]
        gains.append(loss(plain, held_out) - loss(value, held_out))
    # A gain in the mean that is not one in most parts is luck.
    if not np.mean(gains) > 0 or np.sum(np.array(gains) > 0) <= PARTS // 2:
        return Touch()
    everything = np.ones(rows, dtype=bool)
    return touched(finder(lambda v: loss(v, everything)))


def _heated(logits: NDArray[np.floating], temperature: float) -> NDArray[np.floating]:
    scaled = logits / temperature
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    raised = np.exp(scaled)
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _temperature(loss: Callable[[float], float]) -> float:
    found = minimize_scalar(lambda t: loss(float(np.exp(t))), bounds=(-1.2, 1.2), method="bounded")
    return float(np.exp(found.x))


def _threshold(loss: Callable[[float], float]) -> float:
    grid = np.linspace(0.05, 0.95, 91)
    losses = np.array([loss(float(t)) for t in grid])
    # The middle of the best stretch is steadier than its first point.
    smooth = np.convolve(np.pad(losses, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    return float(grid[int(np.argmin(smooth))])
