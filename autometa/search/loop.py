"""The search loop: keep the workers busy, take what they return, keep the best model on disk."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from autometa.search.racing import hopeless
from autometa.search.work import FitJob, FitOutcome, fold_files, read_score

if TYPE_CHECKING:
    from collections.abc import Callable

    from autometa.search.best import BestSoFar
    from autometa.search.clock import Clock
    from autometa.search.journal import Journal
    from autometa.search.records import TrialRecord
    from autometa.search.run_folder import RunFolder
    from autometa.search.schedule import Board, Schedule, Step
    from autometa.search.status import Status, Watcher

TICK = 0.25  # seconds between two looks at the clock
PAUSE = 1.0  # seconds between two ensembles, at least
KEPT = 60  # trials whose models stay on disk


class Executor(Protocol):
    """Where fits are run."""

    name: str
    parting: float  # seconds that letting go of it takes

    @property
    def slots(self) -> int:
        """How many fits run at a time; of a cluster, as its nodes are now."""

    @property
    def free(self) -> int:
        """How many more fits can start now; it changes in :meth:`submit` and :meth:`wait` alone."""

    @property
    def memory(self) -> int | None:
        """Bytes that a fit may use where other machines say so; None for a share of the search's own."""

    def submit(self, job: FitJob) -> None:
        """Start a fit."""

    def wait(self, seconds: float) -> list[FitOutcome]:
        """Outcomes that have come in, after at most so many seconds of waiting for the first."""

    def stop(self) -> None:
        """Kill what is running; more may be submitted later."""

    def close(self) -> None:
        """Kill what is running, and let go of everything; no more is submitted."""


class Search:
    """One search from its first trial to its last.

    Args:
        folder: of the run.
        board: trials, those of an earlier part of the run included.
        schedule: says which fit is next.
        executor: runs it.
        journal: stores trials.
        best: keeps the ensemble.
        write: writes the model, leaderboard and metrics so far.
        clock: of the run.
        reserve: seconds that finishing will take, a function of no arguments.
        job: makes the job for a step.
        constant: loss of a constant prediction on each fold of the first repeat.
        rows_per_fold: validation rows of a fold.
        watcher: is shown the search.
        status: makes the status to show.
    """

    def __init__(
        self,
        *,
        folder: RunFolder,
        board: Board,
        schedule: Schedule,
        executor: Executor,
        journal: Journal,
        best: BestSoFar,
        write: Callable[[], None],
        clock: Clock,
        reserve: Callable[[], float],
        job: Callable[[Step], FitJob],
        constant: list[float],
        rows_per_fold: int,
        watcher: Watcher,
        status: Callable[[tuple[str, ...]], Status],
    ) -> None:
        self._folder, self._board, self._schedule = folder, board, schedule
        self._executor, self._journal, self._best = executor, journal, best
        self._write, self._clock, self._reserve = write, clock, reserve
        self._job, self._constant, self._rows_per_fold = job, constant, rows_per_fold
        self._watcher, self._status = watcher, status
        self._next_write, self._dirty = 0.0, False

    def run(self) -> None:
        """Search until the schedule has nothing left or the time is up."""
        for record in self._board.records:
            self._take_up(record)
        self._make_room()
        while not self._over():
            self._fill()
            if not self._board.in_flight and self._executor.free > 0:
                break  # it was not for want of workers, which may be on their way
            for outcome in self._executor.wait(TICK):
                self._take(outcome)
            self.keep_best()
            self._show()
        self._end()

    def _over(self) -> bool:
        return self._clock.left <= self._reserve()

    def _fill(self) -> None:
        while self._executor.free > 0 and not self._over():
            step = self._schedule.next(self._board)
            if step is None:
                return
            record = step.record
            if record.number == len(self._board.records):
                self._journal.propose(record, elapsed=self._clock.elapsed)
                self._board.records.append(record)
            self._board.in_flight.add((record.number, step.fold))
            self._executor.submit(self._job(step))

    def _take_up(self, record: TrialRecord) -> None:
        """Go on with a trial of an earlier part of the run: what is on disk need not be done again."""
        if record.stage != "running" and read_score(self._folder.trial(record.number), 0) is None:
            self._drop(record)
            return
        for fold in range(self._board.folds * self._board.repeats):
            score = read_score(self._folder.trial(record.number), fold)
            if score is not None:
                record.folds[fold] = score
                predictions = fold_files(self._folder.trial(record.number), fold)[1]
                self._best.take(record.number, fold, predictions)
        if record.stage == "running" and record.folds:
            self._decide(record)
        self._dirty = True

    def _take(self, outcome: FitOutcome) -> None:
        self._board.in_flight.discard((outcome.trial, outcome.fold))
        record = self._board.records[outcome.trial]
        if record.dropped:
            self._folder.drop_trial(record.number)  # this fit may have written there since
            return
        if outcome.score is not None:
            record.folds[outcome.fold] = outcome.score
            predictions = fold_files(self._folder.trial(record.number), outcome.fold)[1]
            self._best.take(record.number, outcome.fold, predictions)
            self._dirty = True
        elif record.stage in ("running", "paused"):
            record.stage, record.error = "failed", outcome.error
            self._finish(record)
            return
        else:
            self._board.given_up.add((outcome.trial, outcome.fold))
        if record.stage == "running":
            self._decide(record)

    def _decide(self, record: TrialRecord) -> None:
        """After a fold: the trial is over, is stopped, waits, or goes on."""
        if record.depth >= record.first_folds:
            record.stage = "complete"
            if record.loss != record.loss:
                record.stage, record.error = "failed", "the metric is undefined on every fold"
            self._finish(record)
            return
        if self._board.flying(record):
            return
        reason = hopeless(
            record,
            self._schedule.rivals(self._board, record),
            constant=self._constant,
            rows_per_fold=self._rows_per_fold,
        )
        if reason:
            record.stage, record.error = "pruned", reason
            self._finish(record)
        elif self._schedule.pauses(self._board, record):
            record.stage = "paused"

    def _store(self, record: TrialRecord) -> None:
        record.elapsed = self._clock.elapsed
        self._journal.finish(record)
        self._dirty = True

    def _finish(self, record: TrialRecord) -> None:
        self._store(record)
        if record.stage == "failed":
            self._drop(record)
        else:
            self._make_room()

    def _make_room(self) -> None:
        """Only the models of the better trials stay on disk.

        Members of the ensemble are no exception: they were chosen when the clock allowed it, and which trials
        can be in the last one must not hang on that. Whoever drops the worst each time ends with the best
        ones, in whatever order they come.
        """
        kept = [r for r in self._board.records if r.stage in ("complete", "pruned") and not r.dropped]
        for record in sorted(kept, key=lambda r: (r.mean_loss(1), r.number))[KEPT:]:
            self._drop(record)

    def _drop(self, record: TrialRecord) -> None:
        record.dropped = True
        self._best.drop(record.number)
        self._folder.drop_trial(record.number)

    def keep_best(self, *, at_once: bool = False) -> None:
        """Blend anew when there is news, but spend no more than a tenth of the time on it."""
        now = time.monotonic()
        if not self._dirty or (now < self._next_write and not at_once):
            return
        if self._best.update(self._board.records):
            assert self._best.best is not None
            self._board.members = [number for number, _ in self._best.best.members]
            self._write()
        self._dirty = False  # only now: a write that was interrupted is done again at the end
        spent = time.monotonic() - now
        self._next_write = time.monotonic() + max(PAUSE, 10 * spent)

    def _show(self) -> None:
        running = tuple(
            f"{number} {self._board.records[number].algorithm} fold {fold % self._board.folds + 1}/{self._board.folds}"
            for number, fold in sorted(self._board.in_flight)
        )
        self._watcher.update(self._status(running))

    def _end(self) -> None:
        """Stop what is running; trials that got somewhere count for what they have."""
        for outcome in self._executor.wait(0.0):
            self._take(outcome)
        self._executor.stop()
        self._board.in_flight.clear()
        for record in self._board.records:
            if record.stage in ("running", "paused"):
                if record.folds:
                    record.stage = "pruned"
                    record.error = f"out of time after {record.depth} of {record.first_folds} folds"
                else:
                    record.stage, record.error = "failed", "out of time before its first fold"
                self._store(record)
        self._dirty = True
        self.keep_best(at_once=True)
