"""Fits in this very process, one after another: for tests, small tables and restricted environments."""

from __future__ import annotations

from autometa.search.work import FitJob, FitOutcome, run_fit


class InlineExecutor:
    """Runs each fit at once, in the calling process; limits on time are soft, there is none on memory."""

    name = "inline"
    slots = 1
    parting = 0.0
    memory = None

    def __init__(self) -> None:
        self._outcomes: list[FitOutcome] = []

    @property
    def free(self) -> int:
        """How many more fits can start now."""
        return self.slots - len(self._outcomes)

    def submit(self, job: FitJob) -> None:
        """Do a fit; its outcome comes out of :meth:`wait`."""
        self._outcomes.append(run_fit(job))

    def wait(self, seconds: float) -> list[FitOutcome]:  # noqa: ARG002 (there is nothing to wait for)
        """Outcomes that have come in."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def stop(self) -> None:
        """Nothing is running."""

    def close(self) -> None:
        """Nothing is held."""
