"""The time that a search may take, counted from the moment the user started it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field


@dataclass
class Clock:
    """Elapsed and remaining seconds of a run; a resumed run goes on where it was stopped.

    Attributes:
        limit: seconds granted, or None for no limit.
        started: when the run began, in seconds since the epoch.
        before: seconds that earlier parts of a resumed run used.
    """

    limit: float | None
    started: float = field(default_factory=time.time)
    before: float = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds used so far, earlier parts included."""
        return self.before + time.time() - self.started

    @property
    def left(self) -> float:
        """Seconds left; infinite without a limit, never negative."""
        return math.inf if self.limit is None else max(0.0, self.limit - self.elapsed)
