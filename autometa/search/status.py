"""What a running search tells those who watch it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from autometa.tables.findings import Finding


@dataclass(frozen=True)
class Status:
    """A search at one moment.

    Attributes:
        phase: "reading", "searching", "refitting", "finishing" or "done".
        elapsed: seconds since the start.
        limit: seconds granted, or None.
        trials: trials asked for, or None.
        metric: name of the metric.
        best: score of the best ensemble so far, in the metric's own sign; None before the first.
        history: (seconds, score) each time the best changed.
        done: trials finished with a model.
        pruned: of these, stopped early.
        failed: trials that failed.
        running: what the workers are doing, such as "12 catboost fold 3/5".
    """

    phase: str
    elapsed: float
    limit: float | None
    trials: int | None
    metric: str
    best: float | None = None
    history: tuple[tuple[float, float], ...] = ()
    done: int = 0
    pruned: int = 0
    failed: int = 0
    running: tuple[str, ...] = ()


class Watcher(Protocol):
    """Someone to show a search to."""

    def update(self, status: Status) -> None:
        """The search as it stands; called a few times a second."""

    def say(self, message: str) -> None:
        """One line worth keeping, such as "reading data.csv: 10,000 rows, 20 columns"."""

    def warn(self, finding: Finding) -> None:
        """A named warning about the data."""

    def close(self) -> None:
        """The search is over, or was stopped."""
