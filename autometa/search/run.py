"""A run from its first fit to its last file: everything that its steps share."""

from __future__ import annotations

import math
import socket
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from autometa import __version__
from autometa.errors import RunError
from autometa.records.lessons import digest
from autometa.records.prepared import CONSTANT_LOSS
from autometa.records.time_model import Shape, TimeModel
from autometa.search.best import BestSoFar
from autometa.search.constant import constant_losses
from autometa.search.forecast import Forecast
from autometa.search.journal import STUDY, Journal, Place
from autometa.search.last_resort import last_resort
from autometa.search.loop import Executor, Search
from autometa.search.outcome import leaderboard_csv, metrics_json
from autometa.search.past import own_past
from autometa.search.plan import Plan
from autometa.search.prepare import Prepared
from autometa.search.proposals import Proposer, make_policy, usable_space
from autometa.search.refit import refit
from autometa.search.remote_copy import RemoteCopy
from autometa.search.reserve import Reserve
from autometa.search.run_folder import RunFolder
from autometa.search.schedule import HANG, Board, ByClock, ByCount, Schedule, Step
from autometa.search.settings import WORKER_MEMORY, Settings
from autometa.search.status import Status, Watcher
from autometa.search.work import FitJob
from autometa.tables.library_versions import library_versions
from autometa.tables.meta_features import meta_features
from autometa.tables.metrics import Metric, resolve_metric
from autometa.tables.objective import OBJECTIVE_VERSION
from autometa.tables.schema import Schema
from autometa.tables.splits import Folds
from autometa.tables.table import Table
from autometa.tables.target import TargetCodec
from autometa.tables.whole_files import write_whole
from autometa.task import Task

if TYPE_CHECKING:
    from autometa.search.clock import Clock
    from autometa.space import Space


class Run:
    """One run with everything it needs, ready to be completed."""

    def __init__(
        self,
        folder: RunFolder,
        content: dict[str, Any],
        table: Table,
        folds: Folds,
        space: Space,
        clock: Clock,
        executor: Executor,
        watcher: Watcher,
    ) -> None:
        self.folder, self.content = folder, content
        self.settings = settings = Settings(**content["settings"])
        self.table, self.folds, self.space, self.clock = table, folds, space, clock
        self.executor, self.watcher = executor, watcher
        self.schema = Schema.from_json(content["schema"])
        self.codec = TargetCodec.from_json(content["target"])
        self.metric: Metric = resolve_metric(content["metric"], table.kind)
        self.plan = Plan(**content["plan"])
        self.journal = Journal(Place.of(folder, content), self.space, first_folds=self.plan.folds)
        records, before = self.journal.read()
        clock.before = before
        self.board = Board(records, self.plan.folds, self.plan.repeats, set(), [])
        self.best = BestSoFar(table, folds, self.metric, seed=settings.seed)
        self.history: list[tuple[float, float]] = []
        self.copy = RemoteCopy(settings.copy, folder.path, watcher)
        self.reserve = Reserve(self)

    @classmethod
    def create(
        cls,
        folder: RunFolder,
        settings: Settings,
        data: Prepared,
        clock: Clock,
        executor: Executor,
        watcher: Watcher,
    ) -> Run:
        """Write what the workers and a later resume need, then the run itself."""
        space = usable_space(settings.space, kind=data.table.kind)
        data.table.save(folder.work / "table")
        data.folds.save(folder.work / "folds")
        content = {
            "version": __version__,
            "objective_version": OBJECTIVE_VERSION,
            "started": clock.started,
            "settings": settings.to_json(),
            "study": _study(folder, clock) if settings.storage else STUDY,
            "executor": executor.name,
            "nodes": [],
            "kind": data.table.kind,
            "classes": list(data.table.classes),
            "rows": len(data.table),
            "rows_total": data.rows_total,
            "features": data.features,
            "meta_features": _meta_features(data),
            "own_past": [t.name for t in own_past(space)] if settings.policy == "learned" else [],
            "metric": data.metric.name,
            "target_name": data.target,
            "target": data.codec.to_json(),
            "schema": data.schema.to_json(),
            "findings": [asdict(f) for f in data.findings],
            "data": data.description,
            "reading_seconds": data.reading_seconds,
            "plan": asdict(data.plan),
            "versions": library_versions(),
        }
        folder.write_run(content)
        watcher.say(
            f"{settings.data}: {data.rows_total:,} rows, predicting {data.target!r} "
            f"({data.table.kind}), metric {data.metric.name}"
        )
        for finding in data.findings:
            watcher.warn(finding)
        return cls(folder, content, data.table, data.folds, space, clock, executor, watcher)

    @classmethod
    def reopen(
        cls,
        folder: RunFolder,
        content: dict[str, Any],
        settings: Settings,
        clock: Clock,
        executor: Executor,
        watcher: Watcher,
    ) -> Run:
        """Take up a run where it was left."""
        try:
            table, folds = Table.load(folder.work / "table"), Folds.load(folder.work / "folds")
        except (OSError, ValueError) as error:
            raise RunError(f"{folder.work} is damaged ({error}); start a new search") from error
        space = usable_space(settings.space, kind=table.kind)
        run = cls(folder, content, table, folds, space, clock, executor, watcher)
        if folder.metrics.exists():
            run.history = [(at, score) for at, score in folder.read_json(folder.metrics)["history"]]
        done = sum(r.stage != "running" for r in run.board.records)
        watcher.say(f"going on after {done} finished trials and {clock.before:.0f} s")
        return run

    def complete(self, *, report: bool) -> None:
        """Search, then finish; what exists is kept when the user interrupts."""
        with self.copy:
            self._complete(report=report)

    def _complete(self, *, report: bool) -> None:
        from autometa.search.finish import finish, load_libraries

        search = self._search()
        if self.settings.by_clock:
            load_libraries()
        try:
            search.run()
            last_resort(self)
            refit(self)
        except BaseException:
            search.keep_best(at_once=True)
            raise
        finally:
            self.executor.close()  # now, so that the time that it takes is a part of what finishing has
        finish(self, report=report)

    def _search(self) -> Search:
        return Search(
            folder=self.folder,
            board=self.board,
            schedule=self._schedule(),
            executor=self.executor,
            journal=self.journal,
            best=self.best,
            write=self.write,
            clock=self.clock,
            reserve=lambda: self.reserve.whole,
            job=self.job,
            constant=constant_losses(self.table, self.folds, self.metric, self.plan.folds) or [math.inf],
            rows_per_fold=len(self.folds.pair(0)[1]),
            watcher=self.watcher,
            status=self.status,
        )

    def _schedule(self) -> Schedule:
        settings = self.settings
        features = self.content["features"] | self.content.get("meta_features", {})  # none in runs of old
        task = Task(settings.data, self.space, (), features)
        own = own_past(self.space, names=self.content.get("own_past", ()))
        policy = make_policy(settings.policy, kind=self.table.kind, own=own)
        propose = Proposer(policy, settings.policy, task, settings.seed, self.plan.folds)
        if settings.time_limit is None:
            assert settings.trials is not None
            return ByCount(trials=settings.trials, workers=settings.workers, propose=propose)
        forecast = self._forecast()
        propose = replace(propose, foretell=forecast, seconds=self.executor.slots * settings.time_limit)
        return ByClock(
            left=lambda: max(0.0, self.clock.left - self.reserve.whole),
            limit=settings.time_limit,
            slots=lambda: self.executor.slots,
            trials=settings.trials,
            propose=propose,
            foretell=forecast,
        )

    def _forecast(self) -> Forecast:
        model = TimeModel.shipped()
        return Forecast(model, Shape.of_fold(self.table, self.folds), model.calibrate())

    def job(self, step: Step) -> FitJob:
        """The work of a step, with its share of the memory."""
        memory = self.executor.memory or (self.settings.memory - _own_memory()) // self.settings.workers
        return FitJob(
            work=str(self.folder.work),
            trial=step.record.number,
            fold=step.fold,
            config=dict(step.record.config),
            metric=self.metric.name,
            seed=self.settings.seed,
            seconds=step.seconds,
            kill_after=HANG if step.seconds is None else 1.5 * step.seconds + 3.0,
            memory=max(WORKER_MEMORY, memory),
            threads=self.settings.cpus_per_trial,
            gpus=self.settings.gpus_per_trial,
        )

    def write(self, *, test_loss: float | None = None) -> None:
        """Write the model, the leaderboard and the metrics as they are now."""
        best = self.best.best
        assert best is not None
        self.best.write(self.folder, self.board.records, self.schema, self.codec)
        score = self.metric.score_of(best.loss)
        if not self.history or self.history[-1][1] != score:
            self.history.append((self.clock.elapsed, score))
        self.write_tables(test_loss=test_loss)

    def write_tables(self, *, test_loss: float | None = None) -> None:
        """Write leaderboard.csv and metrics.json, and into run.json the nodes that did something."""
        nodes = sorted({node for record in self.board.records for node in record.nodes})
        if nodes != self.content.get("nodes", []):
            self.content["nodes"] = nodes
            self.folder.write_run(self.content)
        best = self.best.best
        members = dict(best.members) if best else {}
        write_whole(self.folder.leaderboard, leaderboard_csv(self.board.records, members, self.metric))
        self.folder.write_json(
            self.folder.metrics,
            metrics_json(
                self.board.records,
                best,
                self.metric,
                executor=self.executor.name,
                policy=self.settings.policy,
                seconds=self.clock.elapsed,
                history=self.history,
                test_loss=test_loss,
            ),
        )

    def status(self, running: tuple[str, ...], *, phase: str = "searching") -> Status:
        """The run at this moment."""
        stages = [r.stage for r in self.board.records]
        best = self.best.best
        return Status(
            phase=phase,
            elapsed=self.clock.elapsed,
            limit=self.settings.time_limit,
            trials=self.settings.trials,
            metric=self.metric.name,
            best=self.metric.score_of(best.loss) if best else None,
            history=tuple(self.history),
            done=sum(s in ("complete", "pruned") for s in stages),
            pruned=stages.count("pruned"),
            failed=stages.count("failed"),
            running=running,
        )


def _meta_features(data: Prepared) -> dict[str, float]:
    """Of the table, as recorded tasks have them."""
    constant = constant_losses(data.table, data.folds, data.metric, data.plan.folds)
    told = {CONSTANT_LOSS: sum(constant) / len(constant)} if constant else {}
    return meta_features(data.table) | told


def _study(folder: RunFolder, clock: Clock) -> str:
    """A name in a database that no other run has."""
    return f"autometa-{folder.path.name}-{digest(repr((socket.gethostname(), folder.path.absolute(), clock.started)))}"


def _own_memory() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)
