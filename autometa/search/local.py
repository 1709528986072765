"""Fits in worker processes on this machine, each with a limit on its time and its memory.

Pebble keeps the pool and kills a worker whose time is up. Each worker watches itself: it ends when it
has taken more memory than granted, and when the search is gone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

import psutil
from pebble import ProcessExpired, ProcessPool

from autometa.search.fork_server import WithoutMain, warm_up
from autometa.search.work import FitJob, FitOutcome, run_fit

_OUT_OF_MEMORY = 87  # exit code of a worker that passed its memory limit
_ORPHANED = 88
_POLL = 0.05
_limit_bytes: list[int | None] = [None]


class LocalExecutor:
    """Runs up to ``slots`` fits at a time in processes of this machine.

    Args:
        slots: worker processes.
    """

    name = "local"

    def __init__(self, *, slots: int) -> None:
        warm_up()
        self.slots = slots
        self._pool: ProcessPool | None = None
        self._finished: queue.SimpleQueue[FitOutcome] = queue.SimpleQueue()
        self._running = 0

    @property
    def free(self) -> int:
        """How many more fits can start now."""
        return self.slots - self._running

    def submit(self, job: FitJob) -> None:
        """Start a fit; its outcome comes out of :meth:`wait`."""
        if self._pool is not None and not self._pool.active:
            # Pebble gives a pool up when its workers are killed while no fit is running.
            self._close()
        if self._pool is None:
            self._pool = ProcessPool(
                max_workers=self.slots,
                context=WithoutMain(),
                initializer=_start_worker,
            )
        future = self._pool.schedule(_run, args=[job], timeout=job.kill_after)
        self._running += 1
        outcomes = self._finished

        def done(finished: Any) -> None:
            outcomes.put(_outcome(job, finished))

        future.add_done_callback(done)

    def wait(self, seconds: float) -> list[FitOutcome]:
        """Outcomes that have come in, after at most so many seconds of waiting for the first."""
        outcomes = []
        with contextlib.suppress(queue.Empty):
            outcomes.append(self._finished.get(timeout=max(0.0, seconds)))
            while True:
                outcomes.append(self._finished.get_nowait())
        self._running -= len(outcomes)
        return outcomes

    def stop(self) -> None:
        """Kill what is running; a later :meth:`submit` starts new workers."""
        self._close()
        self._running = 0
        self._finished = queue.SimpleQueue()

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]
            self._pool.join()
            self._pool = None


def _outcome(job: FitJob, future: Any) -> FitOutcome:
    try:
        outcome: FitOutcome = future.result()
    except FutureTimeoutError:
        error = f"stopped after {job.kill_after:.1f} s, the time limit of a fit"
    except ProcessExpired as expired:
        if expired.exitcode == _OUT_OF_MEMORY:
            error = f"stopped at its memory limit of {(job.memory or 0) / 2**20:.0f} MB"
        else:
            error = f"the worker died (exit code {expired.exitcode}); out of memory, perhaps"
    except CancelledError:
        error = "cancelled"
    except Exception as other:  # noqa: BLE001 (whatever the pool reports is this trial's outcome)
        error = f"{type(other).__name__}: {other}"
    else:
        return outcome
    return FitOutcome(job.trial, job.fold, None, error)


def _start_worker() -> None:
    # Ctrl-C reaches every process of a terminal; the search decides, not the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Pebble's handler would run only when a fit comes back from compiled code, seconds later.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_watch, daemon=True).start()


def _run(job: FitJob) -> FitOutcome:
    _limit_bytes[0] = job.memory
    try:
        return run_fit(job)
    finally:
        # An idle worker stays: to end it would cost the fit that it is about to be given.
        _limit_bytes[0] = None


def _own_bytes(process: psutil.Process) -> int:
    """Memory of a process without the pages of files, such as libraries, that it shares with others."""
    used = process.memory_info()
    return int(used.rss - getattr(used, "shared", 0))


def _watch() -> None:
    me, search = psutil.Process(), multiprocessing.parent_process()
    assert search is not None
    while True:
        limit = _limit_bytes[0]
        if limit is not None and _own_bytes(me) > limit:
            os._exit(_OUT_OF_MEMORY)
        search.join(_POLL)
        if not search.is_alive():
            os._exit(_ORPHANED)
