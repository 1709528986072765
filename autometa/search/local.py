"""Fits in worker processes on this machine."""

from __future__ import annotations

from autometa.search.work import FitJob, FitOutcome, run_fit
from autometa.workers.pool import WorkerPool


class LocalExecutor:
    """Runs up to ``slots`` fits at a time in processes of this machine.

    Args:
        slots: worker processes.
    """

    name = "local"
    parting = 0.0
    memory = None

    def __init__(self, *, slots: int) -> None:
        self.slots = slots
        self._pool = WorkerPool(run_fit, slots=slots)

    @property
    def free(self) -> int:
        """How many more fits can start now."""
        return self._pool.free

    def submit(self, job: FitJob) -> None:
        """Start a fit; its outcome comes out of :meth:`wait`."""
        self._pool.submit(job)

    def wait(self, seconds: float) -> list[FitOutcome]:
        """Outcomes that have come in, after at most so many seconds of waiting for the first."""
        return [
            ended.value if ended.value is not None else FitOutcome(ended.job.trial, ended.job.fold, None, ended.error)
            for ended in self._pool.wait(seconds)
        ]

    def stop(self) -> None:
        """Kill what is running; a later :meth:`submit` starts new workers."""
        self._pool.stop()

    def close(self) -> None:
        """Kill what is running."""
        self._pool.stop()
