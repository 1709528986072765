"""When boosting ends: the same rule for every library."""

from __future__ import annotations

import math

from autometa.tables.learners.contract import Job

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
