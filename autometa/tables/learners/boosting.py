"""What the boosters share: when training ends, and how a fitted one predicts and is saved."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from autometa.tables.learners.contract import Job
from autometa.tables.state import State

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autometa.tables.preprocess import Design

ROUNDS = 2000
# What the rounds of one patience must gain together, as a share of the loss, and at least.
GAIN, LEAST_GAIN = 1e-3, 1e-5


def patience(rate: float) -> int:
    """Rounds that must bring a gain together: the smaller the steps, the more of them."""
    return round(min(60.0, max(20.0, 2.0 / rate)))


def blind_rounds(rate: float) -> int:
    """Rounds where there are no validation rows to stop on."""
    return round(min(1000.0, max(50.0, 10.0 / rate)))


class EarlyStop:
    """Follows the validation loss from round to round.

    Attributes:
        curve: validation loss after each round.
        best_rounds: number of rounds with the least loss.
        by_clock: whether the deadline ended the training.
    """

    def __init__(self, waits: int, job: Job) -> None:
        self.curve: list[float] = []
        self.best_rounds = 0
        self.by_clock = False
        self._rounds = 0
        self._best = self._mark = math.inf
        self._marked = 0
        self._waits = waits
        self._job = job

    def after(self, loss: float | None, *, rounds: int = 1) -> bool:
        """Take note of rounds; whether to stop. Without a loss every round is the best so far."""
        self._rounds += rounds
        self.by_clock = self._job.late
        if loss is None:
            self.best_rounds = self._rounds
            return self.by_clock
        self.curve += [loss] * rounds
        if loss < self._best:
            self._best, self.best_rounds = loss, self._rounds
        if self._mark == math.inf or loss < self._mark - max(GAIN * self._mark, LEAST_GAIN):
            self._mark, self._marked = loss, self._rounds
        return self.by_clock or self._rounds - self._marked >= self._waits


@dataclass(frozen=True)
class NativeBooster(ABC):
    """A fitted booster in its library's own format.

    Attributes:
        content: the model as the library writes it.
        width: number of columns that it reads.
        outputs: k.
        kind: of the task.
    """

    content: bytes
    width: int
    outputs: int
    kind: str

    @property
    @abstractmethod
    def booster(self) -> Any:
        """The library's object.

        Raises:
            ModelError: the content is damaged or does not fit its columns.
        """

    @abstractmethod
    def scores(self, design: Design) -> NDArray[Any]:
        """What the library predicts for at least one row: (n, k), or (n,) for one column."""

    def predict(self, design: Design) -> NDArray[np.float32]:
        """Probabilities or values, shape (n, k)."""
        if not len(design):
            return np.empty((0, self.outputs), np.float32)
        return np.asarray(self.scores(design), np.float32).reshape(len(design), self.outputs)

    def state(self) -> State:
        """What to save."""
        settings = {"width": self.width, "outputs": self.outputs, "kind": self.kind}
        return State(settings, {"model": np.frombuffer(self.content, np.uint8)})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """What :meth:`state` gave; a damaged model is refused now, not at the first prediction."""
        settings = state.settings
        content = state.array("model", np.uint8, None).tobytes()
        learner = cls(content, int(settings["width"]), int(settings["outputs"]), str(settings["kind"]))
        learner.booster  # noqa: B018 (looking is loading)
        return learner
