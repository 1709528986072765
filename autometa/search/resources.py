"""What this process may use: cores and memory, as granted by cgroups and affinity, not as built in."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def granted_cores() -> int:
    """Whole cores that this process may keep busy, at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = affinity or 1
    quota = _cpu_quota()
    return max(1, min(cores, int(quota))) if quota else cores


def granted_memory() -> int:
    """Bytes that this process may use: what is free now, or the cgroup's limit where lower."""
    import psutil

    available = int(psutil.virtual_memory().available)
    limit = _read_number("memory.max") or _read_number("memory/memory.limit_in_bytes")
    if limit is None:
        return available
    used = _read_number("memory.current") or _read_number("memory/memory.usage_in_bytes") or 0
    return max(0, min(available, limit - used))


def _cpu_quota() -> float | None:
    try:
        quota, period = (_CGROUP / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        quota_us = _read_number("cpu/cpu.cfs_quota_us")
        period_us = _read_number("cpu/cpu.cfs_period_us")
        return quota_us / period_us if quota_us and period_us and quota_us > 0 else None
    return None if quota == "max" else float(quota) / float(period)


def _read_number(name: str) -> int | None:
    try:
        return int((_CGROUP / name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
