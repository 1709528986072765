"""Which fit is next. Two schedules: by count, which is reproducible, and by clock, which uses all the time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from autometa.search.forecast import Foretell
from autometa.search.records import TrialRecord

# A fit by count that takes longer than this hangs.
HANG = 3600.0


@dataclass(frozen=True)
class Step:
    """The next thing to do: one fold of one trial, within so many seconds (None: no limit)."""

    record: TrialRecord
    fold: int
    seconds: float | None = None


@dataclass
class Board:
    """All trials of a search and the fits in flight.

    Attributes:
        records: trials in order of proposal.
        folds: of the first repeat.
        repeats: of the folds, at most.
        in_flight: (trial, fold) of fits that are running.
        given_up: (trial, fold) of repeats that failed, which leaves the trial as it was.
        members: numbers of the trials in the current ensemble, the heaviest first.
    """

    records: list[TrialRecord]
    folds: int
    repeats: int
    in_flight: set[tuple[int, int]]
    members: list[int]
    given_up: set[tuple[int, int]] = field(default_factory=set)

    def next_fold(self, record: TrialRecord, upto: int) -> int | None:
        """The first fold below ``upto`` that is neither done nor running nor given up."""
        for fold in range(upto):
            fit = record.number, fold
            if fold not in record.folds and fit not in self.in_flight and fit not in self.given_up:
                return fold
        return None

    def flying(self, record: TrialRecord) -> bool:
        """Whether a fit of the trial is running."""
        return any(number == record.number for number, _ in self.in_flight)

    @property
    def complete(self) -> list[TrialRecord]:
        """Trials with all folds of the first repeat whose models are there, the best first."""
        whole = [r for r in self.records if r.stage == "complete" and not r.dropped]
        return sorted(whole, key=lambda r: (r.loss, r.number))


class Schedule(Protocol):
    """Who says which fit is next."""

    def next(self, board: Board) -> Step | None:
        """The next fit, or None while nothing can or should be started."""

    def pauses(self, board: Board, record: TrialRecord) -> bool:
        """Whether a trial whose fit has just ended is to wait for its next fold."""

    def rivals(self, board: Board, record: TrialRecord) -> Sequence[TrialRecord]:
        """The trials that a trial may be compared with."""


# Makes the next trial from (finished, unfinished) records; it is not on the board yet.
Propose = Callable[[Sequence[TrialRecord], Sequence[TrialRecord]], TrialRecord]


class ByCount:
    """N trials, each proposed from exactly the trials that were finished in any order of events.

    Trial i is proposed when the trials up to i - workers are finished, from these alone; the clock
    decides nothing. So the same seed and number of workers make the same run on one machine.

    Args:
        trials: how many.
        workers: how many may be open at a time.
        propose: makes the next trial from the records it may know.
    """

    REFINED = 5  # trials that go through the folds of a second repeat, where there is one

    def __init__(self, *, trials: int, workers: int, propose: Propose) -> None:
        self._trials, self._workers, self._propose = trials, workers, propose

    def next(self, board: Board) -> Step | None:
        """See :class:`Schedule`."""
        for record in board.records:
            if record.stage == "running" and not board.flying(record):
                fold = board.next_fold(record, board.folds)
                if fold is not None:
                    return Step(record, fold)
        number = len(board.records)
        if number < self._trials:
            due = max(0, number - self._workers + 1)
            if any(r.stage == "running" for r in board.records[:due]):
                return None
            return Step(self._propose(board.records[:due], board.records[due:]), 0)
        if any(r.stage == "running" for r in board.records):
            return None
        # Not the members of the ensemble, which is made anew at moments that the clock decides.
        for record in board.complete[: self.REFINED]:
            fold = board.next_fold(record, board.folds * min(2, board.repeats))
            if fold is not None:
                return Step(record, fold)
        return None

    def pauses(self, board: Board, record: TrialRecord) -> bool:  # noqa: ARG002 (the protocol passes them)
        """Never: a pause would depend on the clock."""
        return False

    def rivals(self, board: Board, record: TrialRecord) -> Sequence[TrialRecord]:
        """The trials that its proposal was made from."""
        return board.records[: max(0, record.number - self._workers + 1)]


class ByClock:
    """As many trials as the time allows, the cheap part of each first.

    A new config gets one fold. If the rest of its folds cost a small share of the time left, they
    follow at once; if not, it waits while the first few configs show themselves on one fold, and the
    best go on. A fit is started only if it can end in time, judged by the time model and the fits so far.

    Args:
        left: seconds left for fits, a function of no arguments.
        limit: seconds of the whole run.
        slots: fits that run at a time, a function of no arguments.
        trials: at most so many trials, or None.
        propose: makes the next trial from the records it may know.
        foretell: seconds that a fit will take.
    """

    BREADTH = 6  # configs that show a first fold before dear ones go on
    DEAR = 0.25  # share of the remaining capacity above which the rest of the folds is dear
    PROMOTED = 0.5  # share of the time left that the rest of a waiting trial may take
    FIT_SHARE = 0.2  # of the whole time that one fit may take
    OFFERS = 4  # proposals that are looked at for one that can still end in time
    LEAST = 1.0  # seconds below which no new trial is begun
    REFINE_FROM = 0.4  # share of the time after which repeats of the ensemble's members take turns

    def __init__(
        self,
        *,
        left: Callable[[], float],
        limit: float,
        slots: Callable[[], int],
        trials: int | None,
        propose: Propose,
        foretell: Foretell,
    ) -> None:
        self._left, self._limit, self._slots = left, limit, slots
        self._trials, self._propose, self._foretell = trials, propose, foretell
        self._turn = 0
        self._no_offer_since: tuple[int, int] | None = None

    def next(self, board: Board) -> Step | None:
        """See :class:`Schedule`."""
        for record in board.records:
            if record.stage == "running":
                step = self._step(board, record, board.folds)
                if step is not None:
                    return step
        begun = sum(1 for r in board.records if r.stage != "failed")
        if begun >= self.BREADTH:
            step = self._promote(board)
            if step is not None:
                return step
        refine = self._left() < (1 - self.REFINE_FROM) * self._limit
        self._turn += 1
        # Repeats and new configs take turns, so that neither starves.
        if refine and self._turn % 2:
            return self._refine(board) or self._start(board) or self._promote(board)
        return self._start(board) or self._promote(board) or self._refine(board)

    def pauses(self, board: Board, record: TrialRecord) -> bool:
        """Whether the rest of the trial's folds is dear."""
        if record.depth >= board.folds:
            return False
        rest = (board.folds - record.depth) * record.fold_seconds
        return rest > self.DEAR * self._left() * self._slots()

    def rivals(self, board: Board, record: TrialRecord) -> Sequence[TrialRecord]:
        """All others."""
        return [r for r in board.records if r is not record]

    def _step(self, board: Board, record: TrialRecord, upto: int) -> Step | None:
        if 0 not in record.folds and board.flying(record):
            return None
        fold = board.next_fold(record, upto)
        if fold is None:
            return None
        if record.folds and record.fold_seconds > self._left():
            return None
        return Step(record, fold, self._fit_limit())

    def _promote(self, board: Board) -> Step | None:
        """Let the best of the waiting trials go on that can finish in time."""
        waiting = [r for r in board.records if r.stage == "paused"]
        for record in sorted(waiting, key=lambda r: (r.mean_loss(1), r.number)):
            rest = board.folds - record.depth
            rounds = math.ceil(rest / self._slots())
            if rounds * record.fold_seconds <= self.PROMOTED * self._left():
                record.stage = "running"
                return self._step(board, record, board.folds)
        return None

    def _start(self, board: Board) -> Step | None:
        """The first proposal that can end in time: all its folds, or else at least one."""
        if self._trials is not None and len(board.records) >= self._trials:
            return None
        # The time left only shrinks, so what was too dear remains so until another fit has ended.
        state = (len(board.records), sum(len(r.folds) for r in board.records))
        if state == self._no_offer_since:
            return None
        unfinished = [r for r in board.records if r.stage in ("running", "paused")]
        finished = [r for r in board.records if r.stage not in ("running", "paused")]
        offers: list[TrialRecord] = []
        for _ in range(self.OFFERS):
            if self._left() < self.LEAST:
                break
            offer = self._propose(finished, [*unfinished, *offers])
            offer.number = len(board.records)
            if self._rounds(board) * self._expected(board, offer) <= 0.9 * self._left():
                return Step(offer, 0, self._fit_limit())
            offers.append(offer)
        for offer in offers:
            if self._expected(board, offer) <= 0.9 * self._left():
                return Step(offer, 0, self._fit_limit())
        self._no_offer_since = state
        return None

    def _refine(self, board: Board) -> Step | None:
        """Another fold of the next repeat for a member of the ensemble, the heaviest first."""
        members = {number: place for place, number in enumerate(board.members)}
        whole = [r for r in board.complete if r.number in members]
        for record in sorted(whole, key=lambda r: members[r.number]):
            step = self._step(board, record, board.folds * board.repeats)
            if step is not None:
                return step
        return None

    def _rounds(self, board: Board) -> int:
        """Fits one after the other that all folds of a trial take."""
        return math.ceil(board.folds / self._slots())

    def _expected(self, board: Board, record: TrialRecord) -> float:
        """Seconds that a fold of a new trial will take; its limit ends it in any case."""
        return min(self._foretell(record.config, board.records), self.FIT_SHARE * self._limit)

    def _fit_limit(self) -> float:
        return max(0.5, min(self.FIT_SHARE * self._limit, 0.9 * self._left()))
