"""Nearest neighbours, by scikit-learn's search over rows that are kept as plain arrays.

Letters: n rows, f columns, k outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autometa.errors import ModelError
from autometa.tables.learners.contract import Fitted, Job, class_shares, smoothed
from autometa.tables.preprocess import Design
from autometa.tables.state import State

# Rows kept, and rows times columns: a prediction compares each of its rows with all of them.
MOST_ROWS, MOST_VALUES = 50_000, 2_000_000
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Neighbours:
    """The rows to look among.

    Attributes:
        rows: shape (n, f).
        answers: what each row votes for: class shares or its value, times its weight; shape (n, k).
        weights: of the rows, shape (n,).
        prior: class shares of all rows, shape (k,); zeros for regression.
        count: how many neighbours are asked.
        by_distance: whether near ones count for more.
        power: 1 for the sum of distances by column, 2 for the straight line.
        classes: whether the outputs are probabilities.
    """

    rows: NDArray[np.float32]
    answers: NDArray[np.float32]
    weights: NDArray[np.float32]
    prior: NDArray[np.float32]
    count: int
    by_distance: bool
    power: int
    classes: bool

    @property
    def width(self) -> int:
        """Number of columns that it reads."""
        return int(self.rows.shape[1])

    @property
    def outputs(self) -> int:
        """Columns of a prediction."""
        return len(self.prior)

    @cached_property
    def _search(self) -> Any:
        from sklearn.neighbors import NearestNeighbors

        return NearestNeighbors(n_neighbors=min(self.count, len(self.rows)), p=self.power, n_jobs=1).fit(self.rows)

    def predict(self, design: Design) -> NDArray[np.float32]:
        """Weighted votes, shape (n, k)."""
        if design.width != self.width:
            raise ModelError(f"the neighbours have {self.width} columns; they were given {design.width}")
        found = np.empty((len(design), self.outputs), np.float32)
        for start in range(0, len(design), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            found[part] = self._votes(design.numbers[part])
        return found

    def _votes(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        distances, places = self._search.kneighbors(rows)
        shares = self.weights[places].astype(np.float64)
        if self.by_distance:
            # A row at no distance outweighs the others without shutting them out.
            typical = np.maximum(distances.mean(axis=1, keepdims=True), np.finfo(np.float32).tiny)
            shares /= np.maximum(distances / typical, 1e-3)
        total = shares.sum(axis=1, keepdims=True)
        shares = np.where(total > 0, shares / np.where(total > 0, total, 1), 1 / shares.shape[1])
        votes = np.einsum("nm,nmk->nk", shares, self.answers[places])
        return smoothed(votes, self.prior, places.shape[1]) if self.classes else votes.astype(np.float32)

    def state(self) -> State:
        """What to save."""
        settings = {
            "count": self.count,
            "by_distance": self.by_distance,
            "power": self.power,
            "classes": self.classes,
        }
        arrays = {name: getattr(self, name) for name in ("rows", "answers", "weights", "prior")}
        return State(settings, arrays)


def fit(job: Job) -> Fitted:
    """Keep the rows, or a draw of them."""
    train, config = job.train, job.config
    most = min(MOST_ROWS, max(1000, MOST_VALUES // train.design.width))
    kept = np.arange(len(train))
    if len(train) > most:
        kept = np.sort(np.random.default_rng(job.seed).choice(len(train), most, replace=False))
    classes = job.kind != "regression"
    target = train.target[kept]
    weights = np.ones(len(kept)) if train.weights is None else train.weights[kept]
    answers = np.eye(job.outputs)[target] if classes else target[:, None]
    prior = class_shares(train, job.outputs) if classes else np.zeros(1)
    learner = Neighbours(
        np.ascontiguousarray(train.design.numbers[kept]),
        answers.astype(np.float32),
        weights.astype(np.float32),
        prior.astype(np.float32),
        int(config["neighbours_k"]),
        config["neighbours_weights"] == "distance",
        int(config["neighbours_p"]),
        classes,
    )
    return Fitted(learner)


def restore(state: State) -> Neighbours:
    """What ``state()`` gave."""
    settings = state.settings
    prior = state.array("prior", np.float32, None)
    rows = state.array("rows", np.float32, None, None)
    count, power = int(settings["count"]), int(settings["power"])
    if count < 1 or power not in (1, 2) or not len(rows):
        raise ModelError("the saved neighbours do not fit together; save the model again")
    return Neighbours(
        rows,
        state.array("answers", np.float32, len(rows), len(prior)),
        state.array("weights", np.float32, len(rows)),
        prior,
        count,
        bool(settings["by_distance"]),
        power,
        bool(settings["classes"]),
    )
