"""Run one process to its end, or kill it, and measure what its whole tree took."""

import contextlib
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

PERIOD = 0.2  # seconds between two looks at the tree


@dataclass(frozen=True)
class Usage:
    """What a process tree took.

    Attributes:
        code: the exit status, None when it was killed at the limit.
        wall_s: seconds from the start to the exit of the root process.
        cpu_s: user and system seconds of all processes.
        peak_mb: the largest sum of resident sizes seen (shared pages count once per process).
    """

    code: int | None
    wall_s: float
    cpu_s: float
    peak_mb: float


def watch(
    command: Sequence[str], *, env: Mapping[str, str], folder: Path, log: Path, limit: float, cores: int
) -> Usage:
    """Run a command on the first ``cores`` cores and kill it with all it started after ``limit`` seconds."""
    started = time.monotonic()
    allowed = set(sorted(os.sched_getaffinity(0))[:cores])
    before = os.times()
    with log.open("wb") as out:
        root = subprocess.Popen(command, env=dict(env), cwd=folder, stdout=out, stderr=out, start_new_session=True)
    os.sched_setaffinity(root.pid, allowed)
    seen = {root.pid: psutil.Process(root.pid)}
    cpu: dict[int, float] = {}
    peak = 0.0
    code: int | None = None
    try:
        while code is None and time.monotonic() - started <= limit:
            peak = max(peak, _look(seen, cpu))
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = root.wait(timeout=PERIOD)
        wall = time.monotonic() - started
    finally:
        _end(seen, root)
    after = os.times()
    waited = after.children_user + after.children_system - before.children_user - before.children_system
    # Children that live shorter than a period are only in the first sum, those nobody waits for only in the second.
    return Usage(code=code, wall_s=wall, cpu_s=max(waited, sum(cpu.values())), peak_mb=peak / 2**20)


def _look(seen: dict[int, psutil.Process], cpu: dict[int, float]) -> float:
    """Note new descendants and everybody's CPU seconds; the sum of the resident sizes in bytes."""
    for process in list(seen.values()):
        try:
            seen.update((child.pid, child) for child in process.children(recursive=True) if child.pid not in seen)
        except psutil.NoSuchProcess:
            continue
    resident = 0
    for pid, process in seen.items():
        try:
            with process.oneshot():
                times = process.cpu_times()
                resident += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
        cpu[pid] = times.user + times.system
    return resident


def _end(seen: dict[int, psutil.Process], root: "subprocess.Popen[bytes]") -> None:
    """Kill whatever of the tree still lives: a daemon left behind would slow the next row."""
    _look(seen, {})
    for process in seen.values():
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    root.wait()
