"""How a run begins: on a new dataset, or where an earlier process stopped."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from autometa.errors import RunError
from autometa.search.display import QuietDisplay
from autometa.search.prepare import prepare
from autometa.search.proposals import check_policy
from autometa.search.run import Run
from autometa.search.run_folder import RunFolder
from autometa.search.settings import Settings
from autometa.search.status import Status, Watcher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd

    from autometa.search.clock import Clock
    from autometa.search.loop import Executor


def start(
    settings: Settings,
    source: str | Path | pd.DataFrame,
    path: Path,
    clock: Clock,
    *,
    executor: Executor | None,
    watcher: Watcher | None,
    report: bool,
) -> None:
    """Search a dataset into a new run folder.

    Raises:
        InputError: the table or an option cannot be used; no folder is left behind then.
        RunError: the folder cannot be used.
    """
    check_policy(settings.policy)
    folder = RunFolder.create(path)
    watcher = watcher or QuietDisplay()
    runner = executor or _local_executor(settings.workers)
    try:
        try:
            watcher.update(_opening(settings, clock, "reading"))
            data = prepare(settings, source)
            run = Run.create(folder, settings, data, clock, runner, watcher)
        except BaseException:
            runner.stop()
            if not folder.run.exists():
                folder.discard()
            raise
        with _told_how_to_go_on(path):
            run.complete(report=report)
    finally:
        watcher.close()
        folder.unlock()


def go_on(path: Path, *, started: float, watcher: Watcher | None) -> None:
    """Go on with a run that was stopped or killed. A run that was completed stays as it is.

    Raises:
        RunError: it is not a run folder, or another process is at work in it.
    """
    folder = RunFolder.open(path)
    folder.lock()
    watcher = watcher or QuietDisplay()
    try:
        if not folder.work.exists():
            if not folder.metrics.exists():
                raise RunError(f"{path} was stopped before its table was read; start it anew")
            watcher.say(f"{path} is complete; nothing is left to do")
            return
        content = folder.read_run()
        settings = Settings(**content["settings"])
        runner = _local_executor(settings.workers)
        with _told_how_to_go_on(path):
            Run.reopen(folder, content, settings, started, runner, watcher).complete(report=True)
    finally:
        watcher.close()
        folder.unlock()


@contextlib.contextmanager
def _told_how_to_go_on(path: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as stop:
        kept = f"stopped; what was found so far is kept, and this goes on: autometa resume {path}"
        raise KeyboardInterrupt(kept) from stop


def _local_executor(workers: int) -> Executor:
    from autometa.search.local import LocalExecutor

    return LocalExecutor(slots=workers)


def _opening(settings: Settings, clock: Clock, phase: str) -> Status:
    return Status(phase, clock.elapsed, settings.time_limit, settings.trials, settings.metric or "")
