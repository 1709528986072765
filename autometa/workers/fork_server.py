"""The process that workers are forked from: it has imported the libraries once, so a new worker costs milliseconds.

Nothing heavy is imported here, so that the libraries load in the server while this process reads a table.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import signal
import sys
import types
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBRARIES = ["autometa.tables.objective", "lightgbm", "catboost", "torch", "sklearn.ensemble"]


class _Process(ForkServerProcess):
    """A worker that does not run the caller's main script again.

    Workers need nothing from it, and a script without an ``if __name__ == "__main__"`` guard
    would start its search a second time.
    """

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802 (multiprocessing's name)
        with _without_main():
            return ForkServerProcess._Popen(process_obj)  # noqa: SLF001 (the hook for it)


class WithoutMain(ForkServerContext):
    """Starts workers that know nothing of the caller's main script."""

    Process = _Process


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Let Ctrl-C through only when the block is over.

    A library that is being imported may swallow it, and a process that is being started dies of it
    with a traceback: Ctrl-C reaches every process of a terminal. Processes started in the block
    never see it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def warm_up() -> None:
    """Start the server."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    multiprocessing.forkserver.set_forkserver_preload(LIBRARIES)
    with interrupts_held(), _without_main():
        # Starting this one lets SIGINT through again.
        multiprocessing.resource_tracker.ensure_running()
        with interrupts_held():
            multiprocessing.forkserver.ensure_running()
    atexit.register(_end_server, os.getpid())


def _end_server(owner: int) -> None:
    """End the server process, which may still be loading libraries when a search is interrupted early."""
    server = multiprocessing.forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]  # noqa: SLF001 (it has no public way)
    if server is not None and os.getpid() == owner:
        with contextlib.suppress(ProcessLookupError):
            os.kill(server, signal.SIGKILL)
