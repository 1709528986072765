"""Recording: evaluate planned configs on tables, breadth first, and go on after any kill."""

from __future__ import annotations

import json
import platform
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autometa.errors import InputError
from autometa.records.card import Card, Dataset
from autometa.records.evaluation import Job, Record, run, to_row
from autometa.records.own_files import CARD, SPACE, whole_of
from autometa.records.own_writing import write_own
from autometa.records.plan import Planned, breadth_first, moves, random_configs, shared_configs
from autometa.records.prepared import FOLDS, Source, features_of, prepare
from autometa.records.shard import Shard
from autometa.space import Space
from autometa.tables.library_versions import library_versions
from autometa.tables.objective import OBJECTIVE_VERSION
from autometa.tables.whole_files import write_whole
from autometa.workers.pool import WorkerPool

if TYPE_CHECKING:
    from autometa.space import Config

AT_ONCE = 20  # shared configs that each table gets before any table gets its next
BUDGETS = (1 / 9, 1 / 3)  # the whole is in the folds already
TICK = 0.5
BUSY = 0.8  # share of the clock's seconds below which the processor had other things to do

Key = tuple[str, str, float, int]


@dataclass(frozen=True)
class Settings:
    """What is recorded.

    Attributes:
        configs: on each table in all, budgets not counted.
        shared: of these, the same on every table; of the others one half is random, one half moves near the best.
        budgeted: shared configs that are recorded on shares of the training rows of one fold as well.
        rows: the most training rows of a fold.
        seconds: limit of a fit.
        seed: of rows, configs and fits.
        workers: evaluations at a time.
        memory: bytes for all workers, None for no limit.
        predictions: folder that keeps predictions, or None.
    """

    configs: int = 200
    shared: int = 160
    budgeted: int = 60
    rows: int = 3_000
    seconds: float = 20.0
    seed: int = 0
    workers: int = 1
    memory: int | None = None
    predictions: Path | None = None

    def __post_init__(self) -> None:
        if not 0 < self.shared <= self.configs:
            raise InputError(f"of {self.configs} configs, 1 to all can be shared; got {self.shared}")
        if self.seconds <= 0 or self.workers < 1 or self.rows < 1:
            raise InputError(
                f"seconds, rows and workers must be positive; got {self.seconds}, {self.rows} and {self.workers}"
            )


class Recorder:
    """A recording of some tables into a folder.

    Args:
        sources: the tables.
        space: of the configs.
        defaults: configs made by hand, which come first.
        folder: of the recording; one that was stopped is gone on with.
        settings: what is recorded.
        say: is told what happens, a line at a time.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        space: Space,
        defaults: Sequence[Config],
        folder: Path,
        settings: Settings,
        say: Callable[[str], None],
    ) -> None:
        names = [s.name for s in sources]
        if len(set(names)) < len(names):
            raise InputError("every table needs a name of its own; two of these have the same")
        self.space, self.settings, self.folder = space, settings, folder
        self._say = say
        self.shared = shared_configs(space, defaults, n=settings.shared, seed=settings.seed)
        self._work = folder / "recording"
        self._shard = Shard(self._work / "rows.jsonl")
        # A collection whose shard is elsewhere, as in a fresh clone, is gone on with as well.
        known = {key_of(row) for row in self._shard.rows}
        self._before: list[dict[str, Any]] = []
        self._others: tuple[Dataset, ...] = ()  # tables of the collection that are not asked for now
        self._features: dict[str, dict[str, float]] = {}
        if (folder / CARD).exists():
            card, written, self._features = whole_of(folder)
            self._before = [row for row in written if key_of(row) not in known]
            self._others = tuple(d for d in card.datasets if d.name not in set(names))
        self._done: set[Key] = {key_of(row) for row in self.rows if not stretched(row)}
        self._same_as_before(defaults)
        self.tasks: dict[str, dict[str, Any]] = {}
        for source in sources:
            try:
                self.tasks[source.name] = prepare(
                    source, self._work / "tables" / source.name, rows=settings.rows, seed=settings.seed
                )
            except InputError as error:
                say(f"{source.name} is left out: {error}")
        if not self.tasks:
            self._shard.close()
            raise InputError("of the tables to record, at least one must be usable; none of these is")

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What is recorded so far; of an evaluation that was done again, the last."""
        latest = {key_of(row): row for row in self._before + self._shard.rows}
        return list(latest.values())

    def record(self) -> None:
        """Do all that is planned and not done yet."""
        for stage in (self._shared_jobs, self._budget_jobs, self._random_jobs, self._move_jobs):
            self._run(job for job in stage() if key_of(vars(job)) not in self._done)

    def write(self) -> None:
        """Write what is recorded so far as a collection: trials.parquet and its card."""
        s = self.settings
        card = Card(
            name=self.folder.name,
            about=(
                f"{self._counted()}; one thread a fit; losses of {FOLDS} folds of at most {s.rows:,} training rows, "
                "and of test rows that no fold has seen; budgets below 1 are shares of the training rows of one fold"
            ),
            space=self.space.name,
            space_version=self.space.version,
            objective_version=OBJECTIVE_VERSION,
            seed=s.seed,
            rows=s.rows,
            seconds=s.seconds,
            versions=library_versions(),
            machines=tuple(sorted({row["machine"] for row in self.rows})),
            datasets=(*self._others, *(Dataset(**content) for content in self.tasks.values())),
        )
        features = self._features | {name: features_of(self._work / "tables" / name) for name in self.tasks}
        listed = {d.name for d in card.datasets}
        write_own(
            self.folder,
            card,
            self.space,
            (row for row in self.rows if row["task"] in listed),
            {name: values for name, values in features.items() if name in listed},
        )

    def _counted(self) -> str:
        """How many configs the tables have, as they stand now."""
        whole = [row for row in self.rows if row["budget"] == 1.0]
        shared = Counter(row["task"] for row in whole if row["origin"] in ("default", "sobol"))
        own = Counter(row["task"] for row in whole if row["origin"] in ("random", "move"))
        parts = []
        for counts, kind in ((shared, "shared configs"), (own, "configs of its own")):
            tables = [*self.tasks, *(d.name for d in self._others)]
            few, many = (f([counts[task] for task in tables]) for f in (min, max))
            parts.append(f"{few} {kind}" if few == many else f"{few} to {many} {kind}")
        return f"each table has {parts[0]} and {parts[1]}"

    def close(self) -> None:
        """Let others record."""
        self._shard.close()

    def _same_as_before(self, defaults: Sequence[Config]) -> None:
        """Hold a recording that goes on to what it was begun with; more configs may be asked for."""
        s = self.settings
        fixed: dict[str, object] = {
            "space": self.space.version or self.space.name,
            "objective": OBJECTIVE_VERSION,
            "rows": s.rows,
            "time limit": s.seconds,
            "seed": s.seed,
            "first configs": zlib.crc32(json.dumps([dict(config) for config in defaults]).encode()),
        }
        path = self._work / "settings.json"
        if path.exists():
            begun = json.loads(path.read_text(encoding="utf-8"))
        else:
            begun = fixed
            if self._before:
                card, _ = Card.read(self.folder / CARD)
                begun = begun | {"objective": card.objective_version, "rows": card.rows, "time limit": card.seconds}
                begun["seed"] = card.seed
            write_whole(path, json.dumps(begun))
        other = [name for name, value in fixed.items() if begun.get(name) != value]
        kept = self.folder / SPACE
        if not other and kept.exists() and Space.load(kept).parameters != self.space.parameters:
            other = ["space"]
        planned = {p.config_id: p.config for p in self.shared}
        if not other and any(planned.get(r["config_id"], r["config"]) != r["config"] for r in self._before):
            other = ["first configs"]
        if other:
            self._shard.close()
            raise InputError(
                f"a recording goes on with what it was begun with; {self.folder} has another {other[0]} "
                f"({begun.get(other[0])}, asked for {fixed[other[0]]}): use that one, or another folder"
            )

    def _run(self, jobs: Iterator[Job]) -> None:
        pool: WorkerPool[Job, Record] = WorkerPool(run, slots=self.settings.workers)
        running, more = 0, True
        try:
            while more or running:
                while more and pool.free:
                    job = next(jobs, None)
                    more = job is not None
                    if job is not None:
                        pool.submit(job)
                        running += 1
                for ended in pool.wait(TICK):
                    running -= 1
                    self._take(ended.value or Record.failed(ended.job, ended.error), ended.job)
        finally:
            pool.stop()

    def _take(self, record: Record, job: Job) -> None:
        row = to_row(record) | {"folds": job.folds, "machine": machine()}
        self._shard.append(row)
        self._done.add(key_of(row))
        loss = "-" if row["loss"] is None else f"{row['loss']:.4g}"
        self._say(
            f"{record.task} {record.config_id} {record.budget:.2f}: {record.state} {loss} {record.error}".rstrip()
        )

    def _job(self, task: str, planned: Planned, *, budget: float = 1.0, folds: int | None = None) -> Job:
        s = self.settings
        return Job(
            folder=str(self._work / "tables" / task),
            task=task,
            config_id=planned.config_id,
            origin=planned.origin,
            config=planned.config,
            budget=budget,
            folds=folds or self.tasks[task]["folds"],
            seed=s.seed,
            seconds=s.seconds,
            memory=None if s.memory is None else s.memory // s.workers,
            predictions=None if s.predictions is None or folds else str(s.predictions),
        )

    def _shared_jobs(self) -> Iterator[Job]:
        for task, planned in breadth_first(self.shared, list(self.tasks), at_once=AT_ONCE):
            yield self._job(task, planned)

    def _budget_jobs(self) -> Iterator[Job]:
        budgeted = self.shared[: self.settings.budgeted]
        for task, planned in breadth_first(budgeted, list(self.tasks), at_once=AT_ONCE):
            for budget in BUDGETS:
                yield self._job(task, planned, budget=budget, folds=1)

    def _random_jobs(self) -> Iterator[Job]:
        own = self.settings.configs - self.settings.shared
        for task in self.tasks:
            for planned in random_configs(self.space, task=task, n=own - own // 2, seed=self.settings.seed):
                yield self._job(task, planned)

    def _move_jobs(self) -> Iterator[Job]:
        own = self.settings.configs - self.settings.shared
        for task in self.tasks:
            known = [r for r in self.rows if r["task"] == task and r["origin"] != "move" and r["budget"] == 1.0]
            # In an order that does not depend on which evaluation ended first.
            known = sorted((r for r in known if r["loss"] is not None), key=lambda r: (r["loss"], r["config_id"]))
            best = [r["config"] for r in known]
            for planned in moves(self.space, best, task=task, n=own // 2, seed=self.settings.seed):
                yield self._job(task, planned)


def key_of(row: Mapping[str, Any]) -> Key:
    """What makes an evaluation the one that it is."""
    return row["task"], row["config_id"], round(row["budget"], 6), row["folds"]


def stretched(row: Mapping[str, Any]) -> bool:
    """Whether the clock ended an evaluation that a busy machine had held up; such a one is done again.

    One that was killed for its time may have hung or have been held up: nobody knows, so it is done again as well.
    """
    if row["state"] != "timed_out":
        return False
    return row["loss"] is None or row["cpu_s"] < BUSY * (row["fit_s"] + row["predict_s"])


@cache
def machine() -> str:
    """The kind of processor, which times are comparable on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
