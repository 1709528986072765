"""The learner of what needs none: one target only, or not a single usable column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autometa.tables.learners.contract import Fitted, Job, class_shares
from autometa.tables.preprocess import Design
from autometa.tables.state import State


@dataclass(frozen=True)
class Constant:
    """Says the same of every row.

    Attributes:
        says: shape (k,).
        width: number of columns that it is shown, and does not read.
    """

    says: NDArray[np.float32]
    width: int

    @property
    def outputs(self) -> int:
        """Columns of a prediction."""
        return len(self.says)

    def predict(self, design: Design) -> NDArray[np.float32]:
        """The same for each of n rows, shape (n, k)."""
        return np.tile(self.says, (len(design), 1))

    def state(self) -> State:
        """What to save."""
        return State({"width": self.width}, {"says": self.says})


def fit(job: Job) -> Fitted:
    """Class shares, or the mean."""
    if job.kind == "regression":
        says = np.array([np.average(job.train.target, weights=job.train.weights)])
    else:
        says = class_shares(job.train, job.outputs)
    return Fitted(Constant(says.astype(np.float32), job.train.design.width))


def restore(state: State) -> Constant:
    """What ``state()`` gave."""
    return Constant(state.array("says", np.float32, None), int(state.settings["width"]))
