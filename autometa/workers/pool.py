"""Jobs in worker processes on this machine, each with a limit on its time and its memory.

Pebble keeps the pool and kills a worker whose time is up. Each worker watches itself: it ends when it
has taken more memory than granted, and when the process that started it is gone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import psutil
from pebble import ProcessExpired, ProcessPool

from autometa.workers.fork_server import WithoutMain, warm_up

_OUT_OF_MEMORY = 87  # exit code of a worker that passed its memory limit
_ORPHANED = 88
OUTLASTED = "the time limit of a fit"  # in the error of a job that was killed for taking too long
_POLL = 0.05
_limit_bytes: list[int | None] = [None]


class Limited(Protocol):
    """A job: what a worker is sent, with its limits."""

    @property
    def kill_after(self) -> float | None:
        """Seconds after which the worker is killed; None for never."""

    @property
    def memory(self) -> int | None:
        """Bytes that the worker may use; None for no limit."""


J = TypeVar("J", bound=Limited)
T = TypeVar("T")


@dataclass(frozen=True)
class Ended(Generic[J, T]):
    """What became of a job: what the function returned, or the reason why it did not."""

    job: J
    value: T | None
    error: str = ""


class WorkerPool(Generic[J, T]):
    """Runs up to ``slots`` jobs at a time.

    Args:
        function: what is done with a job; it must be importable by name.
        slots: worker processes.
    """

    def __init__(self, function: Callable[[J], T], *, slots: int) -> None:
        warm_up()
        self.slots = slots
        self._function = function
        self._pool: ProcessPool | None = None
        self._ended: queue.SimpleQueue[Ended[J, T]] = queue.SimpleQueue()
        self._running = 0

    @property
    def free(self) -> int:
        """How many more jobs can start now."""
        return self.slots - self._running

    def submit(self, job: J) -> None:
        """Start a job; what becomes of it comes out of :meth:`wait`."""
        if self._pool is not None and not self._pool.active:
            # Pebble gives a pool up when its workers are killed while nothing is running.
            self._close()
        if self._pool is None:
            self._pool = ProcessPool(
                max_workers=self.slots,
                context=WithoutMain(),
                initializer=_start_worker,
            )
        future = self._pool.schedule(_run, args=[self._function, job], timeout=job.kill_after)
        self._running += 1
        ended = self._ended

        def done(finished: Any) -> None:
            ended.put(_what_became(job, finished))

        future.add_done_callback(done)

    def wait(self, seconds: float) -> list[Ended[J, T]]:
        """Jobs that have ended, after at most so many seconds of waiting for the first."""
        ended = []
        with contextlib.suppress(queue.Empty):
            ended.append(self._ended.get(timeout=max(0.0, seconds)))
            while True:
                ended.append(self._ended.get_nowait())
        self._running -= len(ended)
        return ended

    def stop(self) -> None:
        """Kill what is running; a later :meth:`submit` starts new workers."""
        self._close()
        self._running = 0
        self._ended = queue.SimpleQueue()

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]
            self._pool.join()
            self._pool = None


def _what_became(job: J, future: Any) -> Ended[J, Any]:
    try:
        return Ended(job, future.result())
    except FutureTimeoutError:
        error = f"stopped after {job.kill_after:.1f} s, {OUTLASTED}"
    except ProcessExpired as expired:
        if expired.exitcode == _OUT_OF_MEMORY:
            error = f"stopped at its memory limit of {(job.memory or 0) / 2**20:.0f} MB"
        else:
            error = f"the worker died (exit code {expired.exitcode}); out of memory, perhaps"
    except CancelledError:
        error = "cancelled"
    except Exception as other:  # noqa: BLE001 (whatever the pool reports is what became of this job)
        error = f"{type(other).__name__}: {other}"
    return Ended(job, None, error)


def _start_worker() -> None:
    # Ctrl-C reaches every process of a terminal; the one that started the workers decides, not they.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Pebble's handler would run only when a fit comes back from compiled code, seconds later.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_watch, daemon=True).start()


def _run(function: Callable[[J], T], job: J) -> T:
    _limit_bytes[0] = job.memory
    try:
        return function(job)
    finally:
        # An idle worker stays: to end it would cost the job that it is about to be given.
        _limit_bytes[0] = None


def _own_bytes(process: psutil.Process) -> int:
    """Memory of a process without the pages of files, such as libraries, that it shares with others."""
    used = process.memory_info()
    return int(used.rss - getattr(used, "shared", 0))


def _watch() -> None:
    me, owner = psutil.Process(), multiprocessing.parent_process()
    assert owner is not None
    while True:
        limit = _limit_bytes[0]
        if limit is not None and _own_bytes(me) > limit:
            os._exit(_OUT_OF_MEMORY)
        owner.join(_POLL)
        if not owner.is_alive():
            os._exit(_ORPHANED)
