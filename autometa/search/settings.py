"""The settings of one search, and how times and sizes are written."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

from autometa.errors import InputError
from autometa.search.ray_address import check_address

PolicyName = Literal["portfolio", "learned", "tpe", "gp", "random"]
DEFAULT_TIME = 300.0
WORKER_MEMORY = 2**28  # bytes that a worker needs at least

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_BYTES = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the user asked for.

    Attributes:
        data: where the table came from, for the record.
        target: column to predict; None to choose (target, class, label, y, else the last).
        task: "auto", "classification" or "regression".
        metric: a metric's name; None for the default of the task.
        time_limit: seconds of wall time for everything, or None.
        trials: how many trials, or None. Trials without a time limit make a reproducible run.
        space: name or TOML file of the search space.
        seed: the one source of randomness.
        workers: fits that run at the same time.
        memory: bytes for all processes together.
        policy: who decides what to try next.
        group, time_column, weight: columns with a part of their own; see :mod:`autometa.tables.splits`.
        embargo: training rows dropped before each validation block of a time split.
        test: a labelled file to score the final model on, for the record.
        learn: whether later searches may learn from this one.
        ray: address of the Ray cluster that the fits run on, "auto" for the running one, else one that is
            started here; None for worker processes of this machine.
        gpus_per_trial, cpus_per_trial: what a fit takes of a node.
        max_concurrent: fits on the cluster at a time, at most; None for as many as there is room for.
        copy: address at which a copy of the run folder is kept, such as s3://bucket/run, or None.
        storage: URL of a database for the trials; None for the journal in the run folder.
    """

    data: str
    target: str | None = None
    task: Literal["auto", "classification", "regression"] = "auto"
    metric: str | None = None
    time_limit: float | None = None
    trials: int | None = None
    space: str = "tabular"
    seed: int = 0
    workers: int = 1
    memory: int = 4 * 2**30
    policy: PolicyName = "portfolio"
    group: str | None = None
    time_column: str | None = None
    embargo: int = 0
    weight: str | None = None
    test: str | None = None
    learn: bool = True
    ray: str | None = None
    gpus_per_trial: float = 0.0
    cpus_per_trial: int = 1
    max_concurrent: int | None = None
    copy: str | None = None
    storage: str | None = None

    def __post_init__(self) -> None:
        if self.trials is not None and self.trials < 1:
            raise InputError(f"trials must be at least 1; got {self.trials}")
        if self.time_limit is not None and self.time_limit < 5:
            raise InputError(
                f"the time limit must be at least 5 seconds (starting up takes about 3); got {self.time_limit:g}"
            )
        if self.trials is None and self.time_limit is None:
            object.__setattr__(self, "time_limit", DEFAULT_TIME)
        if self.workers < 1:
            raise InputError(f"workers must be at least 1; got {self.workers}")
        if self.memory < 2**29:
            raise InputError(f"memory must be at least 512M (the libraries alone take that); got {self.memory} bytes")
        if self.ray is None and self.workers > most_workers(self.memory):
            raise InputError(
                f"every worker needs 256M, and the search itself as much; {self.workers} workers do not fit in "
                f"{self.memory / 2**30:.1f}G: give more memory or fewer workers"
            )
        if self.embargo < 0:
            raise InputError(f"embargo must be 0 or more rows; got {self.embargo}")
        if self.embargo and self.time_column is None:
            raise InputError("an embargo is a gap in time: name the time column as well")
        if self.group is not None and self.time_column is not None:
            raise InputError("a split is by group or by time, not both: give one of the two columns")
        self._check_cluster()

    def _check_cluster(self) -> None:
        if not (self.gpus_per_trial >= 0 and (self.gpus_per_trial <= 1 or self.gpus_per_trial % 1 == 0)):
            raise InputError(
                f"GPUs per trial must be a share of one, such as 0.25, or a whole number of them; "
                f"got {self.gpus_per_trial:g}"
            )
        if self.cpus_per_trial < 1:
            raise InputError(f"CPUs per trial must be at least 1; got {self.cpus_per_trial}")
        if self.max_concurrent is not None and self.max_concurrent < 1:
            raise InputError(f"at least 1 trial must run at a time; got {self.max_concurrent}")
        if self.ray is not None:
            check_address(self.ray)
        elif self.gpus_per_trial or self.cpus_per_trial > 1 or self.max_concurrent is not None:
            raise InputError(
                "GPUs and CPUs per trial and the most trials at a time are for a Ray cluster: name it as well "
                "(--ray auto), or give --workers for this machine"
            )

    @property
    def by_clock(self) -> bool:
        """Whether the clock, not only the trial count, decides what is run."""
        return self.time_limit is not None

    def to_json(self) -> dict[str, Any]:
        """Plain values for run.json."""
        return asdict(self)


def most_workers(memory: int) -> int:
    """How many workers so many bytes are enough for, 1 at least."""
    return max(1, memory // WORKER_MEMORY - 1)


def parse_duration(text: str) -> float:
    """Seconds from "90", "90s", "5m" or "2h".

    Raises:
        InputError: the text is not a positive duration of that form.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text.lower())
    if not match or float(match[1]) == 0:
        raise InputError(f"a time is written like 90, 90s, 5m or 2h; got {text!r}")
    return float(match[1]) * _SECONDS[match[2]]


def parse_bytes(text: str) -> int:
    """Bytes from "4G", "512M" or a plain number.

    Raises:
        InputError: the text is not a positive size of that form.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", text.lower())
    if not match or float(match[1]) == 0:
        raise InputError(f"a memory size is written like 4G or 512M; got {text!r}")
    return int(float(match[1]) * _BYTES[match[2]])
