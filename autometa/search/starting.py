"""How a run begins: on a new dataset, or where an earlier process stopped."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from autometa.errors import RunError
from autometa.search.clock import Clock
from autometa.search.database import check_database
from autometa.search.display import QuietDisplay
from autometa.search.prepare import prepare
from autometa.search.proposals import check_policy
from autometa.search.remote_copy import claim
from autometa.search.run import Run
from autometa.search.run_folder import RunFolder
from autometa.search.settings import Settings
from autometa.search.status import Status, Watcher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd

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
        RunError: the folder, or the address of its copy, cannot be used.
    """
    check_policy(settings.policy)
    if settings.storage is not None:
        check_database(settings.storage)
    if settings.copy is not None:
        claim(settings.copy)
    folder = RunFolder.create(path)
    watcher = watcher or QuietDisplay()
    try:
        with contextlib.ExitStack() as stack:
            try:
                watcher.update(_opening(settings, clock, "reading"))
                runner = stack.enter_context(_running(executor, settings, clock, watcher))
                if settings.ray is not None:
                    settings = replace(settings, workers=settings.max_concurrent or runner.slots)
                data = prepare(settings, source)
                run = Run.create(folder, settings, data, clock, runner, watcher)
            except BaseException:
                if not folder.run.exists():
                    folder.discard()
                raise
            with _told_how_to_go_on(path):
                run.complete(report=report)
    finally:
        watcher.close()
        folder.unlock()


def go_on(path: Path, *, started: float, watcher: Watcher | None, copy: str | None = None) -> None:
    """Go on with a run that was stopped or killed. A run that was completed stays as it is.

    Args:
        path: the run folder.
        started: when the time began to run, in seconds since the epoch.
        watcher: is shown the search; None for nobody.
        copy: the address that the folder was fetched from, where its copy is kept from now on.

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
        if copy is not None:
            content["settings"]["copy"] = copy
            folder.write_run(content)
        settings = Settings(**content["settings"])
        clock = Clock(settings.time_limit, started)
        with _running(None, settings, clock, watcher) as runner, _told_how_to_go_on(path):
            Run.reopen(folder, content, settings, clock, runner, watcher).complete(report=True)
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


@contextlib.contextmanager
def _running(given: Executor | None, settings: Settings, clock: Clock, watcher: Watcher) -> Iterator[Executor]:
    """What the fits run in, which ends with the block."""
    if given is None and settings.ray is not None:
        with _on_cluster(settings, clock, watcher) as executor:
            yield executor
        return
    executor = given or _local_executor(settings.workers)
    try:
        yield executor
    finally:
        executor.close()


@contextlib.contextmanager
def _on_cluster(settings: Settings, clock: Clock, watcher: Watcher) -> Iterator[Executor]:
    from autometa.search.ray_cluster import joined
    from autometa.search.ray_executor import RayExecutor

    with joined(settings) as found:
        clock.started += found.starting  # a cluster of one's own is not a part of the search
        executor = RayExecutor(found.cluster, most=settings.max_concurrent)
        began = f"no Ray cluster was running: one was started here in {found.starting:.0f} s, which do not count"
        where = began if found.starting else f"Ray cluster at {found.cluster.address}"
        watcher.say(f"{where}; {found.cluster.resources}, {executor.slots} fits at a time")
        try:
            yield executor
        finally:
            executor.close()


def _local_executor(workers: int) -> Executor:
    from autometa.search.local import LocalExecutor

    return LocalExecutor(slots=workers)


def _opening(settings: Settings, clock: Clock, phase: str) -> Status:
    return Status(phase, clock.elapsed, settings.time_limit, settings.trials, settings.metric or "")
