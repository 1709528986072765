"""What an actor of a search does on its node: fits, one after another, in a process of its own.

The fits run in the pool that a search on one machine has, so that limits on time and memory, and what is
said of a fit that passes them, are the same everywhere; a fit that hangs is killed without its actor.
"""

from __future__ import annotations

import os
import tempfile
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from autometa import __version__
from autometa.search.node_folder import NodeFolder
from autometa.search.parcel import Parcel, pack, unpack_inputs
from autometa.search.run_folder import trial_folder
from autometa.search.work import FitJob, FitOutcome, run_fit
from autometa.workers.pool import WorkerPool

if TYPE_CHECKING:
    from pathlib import Path

TICK = 0.2  # seconds between two looks at whether the fit is still wanted


@dataclass(frozen=True)
class Ready:
    """What a worker says when it can begin: its version of autometa, and the node it is on."""

    version: str
    node: str


class RayWorker:
    """One place for fits.

    Args:
        run: names the run on its nodes.
    """

    def __init__(self, run: str) -> None:
        import ray

        self._node = ray.get_runtime_context().get_node_id()
        self._folder = NodeFolder(f"{run}-{self._node[:6]}")
        # What libraries put aside goes when the folder goes, however this process ends.
        tempfile.tempdir = os.environ["TMPDIR"] = str(self._folder.path)
        self._pool: WorkerPool[FitJob, FitOutcome] = WorkerPool(run_fit, slots=1)
        self._unwanted = threading.Event()

    def ready(self) -> Ready:
        """Say so."""
        return Ready(__version__, self._node)

    def fit(self, job: FitJob, inputs: list[Any], rows: bytes | None) -> Parcel:
        """Do a fit.

        Args:
            job: what to fit; its paths are those of the search's machine.
            inputs: one reference to the files of table and folds, fetched only where they are not there yet.
            rows: the file of a refit's training rows.
        """
        self._unwanted.clear()
        self._folder.fill(lambda work: _fetch(inputs, work))
        job = replace(job, work=str(self._folder.work))
        if rows is not None:
            path = self._folder.work / f"rows-{job.trial}-{job.fold}.npy"
            path.write_bytes(rows)
            job = replace(job, rows=str(path))
        return pack(self._outcome(job), trial_folder(self._folder.work, job.trial))

    def _outcome(self, job: FitJob) -> FitOutcome:
        self._pool.submit(job)
        while not self._unwanted.is_set():
            for ended in self._pool.wait(TICK):
                return ended.value or FitOutcome(job.trial, job.fold, None, ended.error)
        self._pool.stop()
        return FitOutcome(job.trial, job.fold, None, "stopped")

    def abandon(self) -> None:
        """End the fit that is running; called beside it."""
        self._unwanted.set()

    def close(self) -> None:
        """End this worker, and leave nothing behind."""
        import ray

        self._unwanted.set()
        self._pool.stop()
        self._folder.leave()
        ray.actor.exit_actor()  # type: ignore[no-untyped-call]


def _fetch(inputs: list[Any], work: Path) -> None:
    import ray

    unpack_inputs(ray.get(inputs[0]), work)
