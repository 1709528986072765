"""What a search expects of a fit before it starts: its seconds, by the time model and what was fitted so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autometa.records.time_model import Shape, TimeModel

if TYPE_CHECKING:
    from autometa.search.records import TrialRecord
    from autometa.space import Config

# Seconds that a fit of a config and the prediction of its validation rows will take, given the trials so far.
Foretell = Callable[["Config", Sequence["TrialRecord"]], float]

SURE = 0.8  # share of fits that take no longer than foretold


@dataclass(frozen=True)
class Forecast:
    """Foretells the seconds of a fit on one table and machine; a :data:`Foretell`.

    Attributes:
        model: of seconds.
        shape: of a fit of this search.
        factor: how much slower this machine is than the one of the recorded fits.
    """

    model: TimeModel
    shape: Shape
    factor: float

    def __call__(self, config: Config, records: Sequence[TrialRecord]) -> float:
        """Seconds that four of five such fits do not exceed."""
        seen = [(r.config, r.fold_seconds) for r in records if r.folds]
        return self.model.seconds(config, self.shape, quantile=SURE, factor=self.factor, seen=seen)
