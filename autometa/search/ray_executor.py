"""Fits on a Ray cluster."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autometa.errors import RunError
from autometa.search.parcel import Parcel, pack_inputs, unpack
from autometa.search.ray_crew import Crew, Worker, last_line
from autometa.search.run_folder import trial_folder
from autometa.search.settings import WORKER_MEMORY
from autometa.search.work import FitJob, FitOutcome

if TYPE_CHECKING:
    from autometa.search.ray_cluster import Cluster

RETRIES = 2  # of a fit whose worker was lost
GRACE = 60.0  # seconds after its own limit that a fit's answer is waited for
STOPPING = 2.0  # seconds that running fits have to end when nobody wants them
LONELY = 300.0  # seconds without any worker after which the search gives up


@dataclass(eq=False)
class _Fit:
    """A fit that was asked for, and how often its worker was lost."""

    job: FitJob
    lost: int = 0


@dataclass(eq=False)
class _Flight:
    """A fit that a worker is doing."""

    fit: _Fit
    worker: Worker
    until: float


class RayExecutor:
    """Runs fits in workers on the nodes of a cluster; the folder of the run is written here alone.

    Args:
        cluster: where they run.
        most: fits at a time, at most; None for as many as the cluster has room for.
    """

    name = "ray"
    parting = 2.0  # measured with more busy processes than cores

    def __init__(self, cluster: Cluster, *, most: int | None) -> None:
        self._ray = cluster.ray
        self._crew = Crew(cluster, most=most)
        self._inputs: Any = None
        self._queue: deque[_Fit] = deque()
        self._flights: dict[Any, _Flight] = {}
        self._unwanted: dict[Any, _Flight] = {}  # that are being ended
        self._idle: list[Worker] = []
        self._alone_since = time.monotonic()

    @property
    def slots(self) -> int:
        """How many fits run at a time, now that the nodes are what they are."""
        return max(1, self._crew.places)

    @property
    def free(self) -> int:
        """How many more fits can start now."""
        return max(0, len(self._idle) - len(self._queue))

    @property
    def memory(self) -> int:
        """Bytes that a fit may use on any node."""
        return min((w.node.memory for w in self._crew.workers if w.node is not None), default=WORKER_MEMORY)

    def submit(self, job: FitJob) -> None:
        """Start a fit; its outcome comes out of :meth:`wait`."""
        if self._inputs is None:
            self._inputs = self._ray.put(pack_inputs(Path(job.work)))
        self._queue.append(_Fit(job))
        self._send_out()

    def wait(self, seconds: float) -> list[FitOutcome]:
        """Outcomes that have come in, after at most so many seconds of waiting for the first.

        Raises:
            RunError: no node can work, or none has been there for minutes.
        """
        self._look()
        starting = {w.starting: w for w in self._crew.workers if w.starting is not None}
        awaited = [*self._flights, *self._unwanted, *starting]
        if not awaited:
            time.sleep(max(0.0, seconds))
            return []
        self._ray.wait(awaited, num_returns=1, timeout=max(0.0, seconds))
        done, _ = self._ray.wait(awaited, num_returns=len(awaited), timeout=0)
        outcomes = []
        for ref in done:
            if ref in starting:
                self._crew.started(starting[ref])
            elif ref in self._flights:
                outcomes += self._landed(ref)
            else:
                self._ended(ref)
        outcomes += self._overdue()
        self._look()
        return outcomes

    def stop(self) -> None:
        """End what is running; the workers stay for a later :meth:`submit`."""
        self._queue.clear()
        for flight in self._flights.values():
            flight.worker.actor.abandon.remote()
            flight.until = time.monotonic() + STOPPING
        self._unwanted |= self._flights
        self._flights = {}

    def close(self) -> None:
        """Let the workers go, if they are not gone already."""
        self.stop()
        self._unwanted.clear()
        self._crew.close()

    def _look(self) -> None:
        """Know who is there, and give the idle something to do."""
        self._crew.look()
        flying = {flight.worker for flights in (self._flights, self._unwanted) for flight in flights.values()}
        self._idle = [w for w in self._crew.ready if w not in flying]
        if self._crew.workers:
            self._alone_since = time.monotonic()
        elif time.monotonic() - self._alone_since > LONELY:
            raise RunError(
                f"a search needs a node with room for a trial; the cluster has had none for {LONELY:.0f} s. "
                f"Add one and go on with autometa resume"
            )
        self._send_out()

    def _send_out(self) -> None:
        while self._queue and self._idle:
            fit, worker = self._queue.popleft(), self._idle.pop(0)
            assert worker.node is not None
            job = replace(fit.job, memory=worker.node.memory)
            rows = None if job.rows is None else Path(job.rows).read_bytes()
            # In a list, a reference is handed on as it is: who has the table already does not fetch it.
            ref = worker.actor.fit.remote(job, [self._inputs], rows)
            limit = float("inf") if job.kill_after is None else job.kill_after + GRACE
            self._flights[ref] = _Flight(fit, worker, time.monotonic() + limit)

    def _landed(self, ref: Any) -> list[FitOutcome]:
        flight = self._flights.pop(ref)
        job = flight.fit.job
        try:
            parcel: Parcel = self._ray.get(ref)
        except self._ray.exceptions.RayTaskError as error:
            return [self._failed(flight, last_line(error))]
        except self._ray.exceptions.RayError as error:
            return self._lost(flight, last_line(error))
        if parcel.outcome.score is None:
            return [self._failed(flight, parcel.outcome.error)]
        parcel = replace(parcel, outcome=_with_node(parcel.outcome, flight.worker.where))
        unpack(parcel, trial_folder(Path(job.work), job.trial))
        return [parcel.outcome]

    def _ended(self, ref: Any) -> None:
        """A fit that nobody wanted any more is over."""
        flight = self._unwanted.pop(ref)
        try:
            self._ray.get(ref)
        except self._ray.exceptions.RayError:
            self._crew.dismiss(flight.worker)

    def _lost(self, flight: _Flight, reason: str) -> list[FitOutcome]:
        """Another worker does a fit again whose worker was lost: it is seldom the fit's fault."""
        self._crew.dismiss(flight.worker)
        self._crew.doubt(self._idle)
        self._idle = []
        fit = flight.fit
        fit.lost += 1
        if fit.lost > RETRIES:
            return [self._failed(flight, f"its worker was lost {fit.lost} times: {reason}")]
        self._queue.appendleft(fit)
        return []

    def _overdue(self) -> list[FitOutcome]:
        """Fits whose worker should have ended them long ago, and does not answer."""
        outcomes = []
        for flights in (self._flights, self._unwanted):
            for ref in [ref for ref, flight in flights.items() if time.monotonic() > flight.until]:
                flight = flights.pop(ref)
                self._crew.dismiss(flight.worker)
                if flights is self._flights:
                    outcomes.append(self._failed(flight, "its worker did not answer after the time limit of a fit"))
        return outcomes

    @staticmethod
    def _failed(flight: _Flight, error: str) -> FitOutcome:
        job = flight.fit.job
        return FitOutcome(job.trial, job.fold, None, f"{error} (on {flight.worker.where})")


def _with_node(outcome: FitOutcome, node: str) -> FitOutcome:
    assert outcome.score is not None
    return replace(outcome, score=replace(outcome.score, node=node))
