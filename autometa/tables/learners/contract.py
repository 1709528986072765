"""What every learner is given, and what it gives back.

Learners see classes 0 to k-1 that are all present in the training part, or values of mean 0 and
deviation 1. Letters: n rows, k outputs (one per class, or one value).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from autometa.space import Config
from autometa.tables.preprocess import Design
from autometa.tables.state import State
from autometa.tables.table import Kind


@dataclass(frozen=True)
class Part:
    """Rows to learn from, or to stop early on.

    Attributes:
        design: the inputs of n rows.
        target: int64 class codes or float64 values, shape (n,).
        weights: of the rows, shape (n,) with mean about 1, or None for equal weights.
    """

    design: Design
    target: NDArray[Any]
    weights: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.target)


@dataclass(frozen=True)
class Job:
    """One fit.

    Attributes:
        config: names of tabular-1, active ones only.
        kind: of the task that the learner sees.
        outputs: k.
        train: rows to learn from.
        valid: rows to stop early on; may be empty.
        seed: of everything random, below 2**31.
        threads: that the fit may use.
        deadline: time (time.monotonic) at which training ends with its best state; None for never.
        gpus: of the machine that the fit may use, or the share of one; 0 for none.
    """

    config: Config
    kind: Kind
    outputs: int
    train: Part
    valid: Part
    seed: int
    threads: int = 1
    deadline: float | None = None
    gpus: float = 0.0

    @property
    def late(self) -> bool:
        """Whether the time for training is over."""
        return self.deadline is not None and time.monotonic() >= self.deadline


class Learner(Protocol):
    """A fitted learner."""

    @property
    def width(self) -> int:
        """Number of columns that it reads."""
        ...

    @property
    def outputs(self) -> int:
        """How many they are, k."""
        ...

    def predict(self, design: Design) -> NDArray[np.float32]:
        """Probabilities of the classes, or values; shape (n, k)."""
        ...

    def state(self) -> State:
        """What to save; the module's ``restore`` reads it."""
        ...


@dataclass(frozen=True)
class Fitted:
    """A learner, and how its training went.

    Attributes:
        learner: in its best state.
        curve: validation loss after each round or epoch, () where there are none.
        stopped_by_clock: whether the deadline ended the training.
    """

    learner: Learner
    curve: tuple[float, ...] = ()
    stopped_by_clock: bool = False


def smoothed(shares: NDArray[np.floating], prior: NDArray[np.floating], votes: float) -> NDArray[np.float32]:
    """Class shares of ``votes`` voters with one voter more who only knows the prior, shape (n, k).

    A count of votes says 0 of a class that no voter named, which a logarithm cannot forgive.
    """
    return ((votes * shares + prior) / (votes + 1)).astype(np.float32)


def class_shares(part: Part, outputs: int) -> NDArray[np.float64]:
    """Share of each class, shape (k,)."""
    counts = np.bincount(part.target, part.weights, outputs).astype(np.float64)
    return np.asarray(counts / counts.sum())
