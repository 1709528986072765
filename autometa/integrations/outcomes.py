"""What a trial that ended says to a policy, whether it ran to its end, was stopped on the way or failed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from autometa.space import Config
from autometa.task import Trial

Reports: TypeAlias = Mapping[int, float]


@dataclass(frozen=True)
class Steps:
    """The steps at which trials report, counted from the one before the first.

    Attributes:
        last: of all trials.
        shift: 1 where they begin at 0.
    """

    last: int
    shift: int

    @classmethod
    def of(cls, reports: Iterable[Reports]) -> Steps:
        """The steps of all trials' reports."""
        steps = [step for report in reports for step in report]
        shift = 1 if 0 in steps else 0
        return cls(max(steps, default=0) + shift, shift)

    def share(self, step: int) -> float:
        """How far a step is on the way to the last one, in (0, 1]."""
        return (step + self.shift) / self.last


def ended(config: Config, loss: float, reports: Reports, steps: Steps, *, stopped: bool) -> Trial:
    """A trial with its outcome.

    Args:
        config: of the trial.
        loss: at its end; where there is none, or it is not a finite number, the trial has failed.
        reports: losses by step.
        steps: of all trials.
        stopped: the trial did not get to its end. It has the loss that it reported last then, at the share that this
            step is of the last one; without a report it has failed.
    """
    curve = tuple(value for _, value in sorted(reports.items()))
    if stopped and curve and math.isfinite(curve[-1]):
        return Trial(config, "pruned", curve[-1], budget=steps.share(max(reports)), curve=curve)
    if stopped or not math.isfinite(loss):
        return Trial(config, "failed", curve=curve)
    return Trial(config, "complete", loss, curve=curve)
