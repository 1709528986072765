"""Validation predictions that took no part in choosing when the training ended.

Whoever stops at the least validation loss, and then measures on the same rows, finds himself better than
he is: on tables of a few hundred rows by 2 to 10 percent of the loss, more than good learners differ by. An
ensemble that is weighted by such losses trusts those who choose most. So the validation rows are put into
parts, and each part is predicted by the state that had the least loss on the other parts.
Letters: n validation rows, k outputs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autometa.tables.learners.contract import Job

PARTS = 5
# Of more rows than this the choice is made by so many that none of them matters.
MOST_ROWS = 5000


def row_losses(target: NDArray[Any], found: NDArray[np.floating]) -> NDArray[np.float64]:
    """Log-loss, or squared error, of each row: (n,) and (n, k) to (n,)."""
    if target.dtype.kind == "i":
        given = found[np.arange(len(target)), target].astype(np.float64)
        return np.asarray(-np.log(np.maximum(given, 1e-7)))
    return np.asarray((found[:, 0] - target) ** 2, np.float64)


class HeldOut:
    """Follows the predictions of the validation rows from round to round.

    Attributes:
        predictions: of each row by the state that the other parts chose so far, shape (n, k).
    """

    def __init__(self, job: Job) -> None:
        valid = job.valid
        self.predictions = np.zeros((len(valid), job.outputs), np.float32)
        self._target = valid.target
        self._weights = np.ones(len(valid)) if valid.weights is None else valid.weights
        self._part = np.random.default_rng(job.seed).permutation(np.arange(len(valid)) % PARTS)
        self._least = np.full(PARTS, math.inf)

    @classmethod
    def of(cls, job: Job) -> HeldOut | None:
        """One where it pays: there are validation rows for every part, and not too many of them."""
        return cls(job) if PARTS <= len(job.valid) <= MOST_ROWS else None

    def after(self, found: NDArray[np.floating]) -> float:
        """Take note of the predictions (n, k) after a round.

        Returns:
            Mean log-loss or squared error of all rows.
        """
        losses = self._weights * row_losses(self._target, found)
        by_part = np.bincount(self._part, losses, PARTS)
        others = by_part.sum() - by_part
        for part in np.flatnonzero(others < self._least):
            rows = self._part == part
            self.predictions[rows] = found[rows]
        self._least = np.minimum(self._least, others)
        return float(losses.sum() / self._weights.sum())
