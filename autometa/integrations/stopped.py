"""What trials that were stopped early would have come to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TypeAlias

Reports: TypeAlias = Mapping[int, float]


class Prospects:
    """How losses go on from a step, as trials that got further tell.

    A trial that was stopped is taken to go on as the median of them did: the order at the step where a scheduler
    compared trials stays as it was.

    Args:
        told: losses by step of each trial that has ended.
    """

    def __init__(self, told: Sequence[Reports]) -> None:
        self._told = [(max(reports), reports) for reports in told if reports]
        self._gains: dict[int, float] = {}

    def loss(self, reports: Reports) -> float:
        """The loss at the end of a trial with these losses by step; NaN where there is none, or the last one is."""
        if not reports:
            return math.nan
        step = max(reports)
        return reports[step] + self._gain(step)

    def _gain(self, step: int) -> float:
        if step not in self._gains:
            found = (reports[last] - reports[step] for last, reports in self._told if last > step and step in reports)
            self._gains[step] = median([gain for gain in found if math.isfinite(gain)] or [0.0])
        return self._gains[step]
