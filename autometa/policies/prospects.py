"""What trials that were stopped early would have come to."""

from __future__ import annotations

import math
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autometa.task import Trial


class Prospects:
    """How losses go on from where a trial was stopped, as trials that got further tell.

    A trial that was stopped is taken to go on as the median of them did: the order at the place where trials were
    compared stays as it was. Places are folds, or reports of a training; those of all trials are taken to be the same.

    Args:
        history: of a task.
    """

    def __init__(self, history: Sequence[Trial]) -> None:
        self._history = history
        self._gains: dict[int, float] = {}

    @cached_property
    def _told(self) -> list[tuple[int, Trial]]:
        ended = (t for t in self._history if t.state in ("complete", "pruned") and t.budget > 0)
        return [(reach, t) for t in ended if (reach := _reach(t)) and math.isfinite(t.loss)]

    def loss(self, trial: Trial) -> float:
        """The loss at the end of a trial that was stopped; NaN where it has none."""
        return trial.loss + self._gain(_reach(trial))

    def _gain(self, reach: int) -> float:
        if reach not in self._gains:
            gains = (t.loss - _loss_at(t, reach) for further, t in self._told if reach and further > reach)
            self._gains[reach] = median([gain for gain in gains if math.isfinite(gain)] or [0.0])
        return self._gains[reach]


def _reach(trial: Trial) -> int:
    return len(trial.fold_losses) or len(trial.curve)


def _loss_at(trial: Trial, reach: int) -> float:
    """What a trial had come to after so many folds or reports."""
    if not trial.fold_losses:
        return trial.curve[reach - 1]
    known = [loss for loss in trial.fold_losses[:reach] if not math.isnan(loss)]
    return sum(known) / len(known) if known else math.nan
