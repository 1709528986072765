"""Which fit is next: reproducible by count in any order of events, and within the time by clock."""

import numpy as np
import pytest

from autometa.policies.optuna_samplers import TPEPolicy
from autometa.search.proposals import Proposer
from autometa.search.records import FoldScore, TrialRecord
from autometa.search.schedule import Board, ByClock, ByCount
from autometa.space import Space
from autometa.task import Task

SPACE = Space.load("tabular")
FOLDS = 3
SECONDS = {"catboost": 20.0, "linear": 5.0}  # of a fold


def loss_of(config, fold):
    unit = SPACE.to_unit(config)
    return float(np.nansum((unit - 0.3) ** 2)) + 0.01 * fold


def proposer():
    return Proposer(TPEPolicy(startup=4), "tpe", Task("t", SPACE), 5, FOLDS)


def settle(board, schedule, record):
    """What the loop does after a fold, without racing."""
    if record.depth >= FOLDS:
        record.stage = "complete"
    elif schedule.pauses(board, record):
        record.stage = "paused"


def run_by_count(order_seed, *, workers, trials=14):
    rng = np.random.default_rng(order_seed)
    board = Board([], FOLDS, 1, set(), [])
    schedule = ByCount(trials=trials, workers=workers, propose=proposer())
    flying = []
    while True:
        while len(flying) < workers and (step := schedule.next(board)) is not None:
            if step.record.number == len(board.records):
                board.records.append(step.record)
            board.in_flight.add((step.record.number, step.fold))
            flying.append(step)
        if not flying:
            return [r.config for r in board.records], board
        step = flying.pop(int(rng.integers(len(flying))))
        board.in_flight.discard((step.record.number, step.fold))
        step.record.folds[step.fold] = FoldScore(loss_of(step.record.config, step.fold), 1.0)
        settle(board, schedule, step.record)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_by_count_any_order_of_events_makes_the_same_trials(workers):
    first, board = run_by_count(0, workers=workers)
    assert len(first) == 14
    assert all(r.depth == FOLDS for r in board.records)
    for order_seed in range(1, 4):
        assert run_by_count(order_seed, workers=workers)[0] == first


def test_by_count_a_trial_knows_the_results_that_are_due_and_no_others():
    seen = []

    def propose(finished, unfinished):
        seen.append((len(finished), len(unfinished)))
        return proposer()(finished, unfinished)

    board = Board([], FOLDS, 1, set(), [])
    schedule = ByCount(trials=4, workers=2, propose=propose)
    for _ in range(2):
        step = schedule.next(board)
        board.records.append(step.record)
        board.in_flight.add((step.record.number, 0))
    assert schedule.next(board) is None
    # Trial 1 ends first; trial 2 must wait for trial 0 all the same.
    board.in_flight.discard((1, 0))
    board.records[1].folds = {f: FoldScore(0.1, 1.0) for f in range(FOLDS)}
    board.records[1].stage = "complete"
    assert schedule.next(board) is None
    board.in_flight.discard((0, 0))
    board.records[0].folds = {f: FoldScore(0.2, 1.0) for f in range(FOLDS)}
    board.records[0].stage = "complete"
    assert schedule.next(board).record.number == 2
    assert seen == [(0, 0), (0, 1), (1, 1)]


def like_others(config, records):
    """Seconds that others of its algorithm took."""
    same = [r.fold_seconds for r in records if r.folds and r.algorithm == config["algorithm"]]
    return max(same, default=1.0)


def by_clock(left, *, limit=60.0, slots=2, trials=None):
    return ByClock(
        left=lambda: left, limit=limit, slots=lambda: slots, trials=trials, propose=proposer(), foretell=like_others
    )


def a_record(number, algorithm, seconds, folds=1, stage="running"):
    done = {f: FoldScore(0.1 * number, seconds) for f in range(folds)}
    config = SPACE.complete({"algorithm": algorithm})
    return TrialRecord(number, config, "test", FOLDS, done, stage)


def test_by_clock_dear_trials_wait_and_cheap_ones_go_on():
    board = Board([], FOLDS, 1, set(), [])
    assert not by_clock(50.0).pauses(board, a_record(0, "linear", 1.0))
    assert by_clock(50.0).pauses(board, a_record(0, "catboost", 20.0))


def test_by_clock_the_best_of_the_waiting_goes_on_if_it_can_end_in_time():
    records = [a_record(i, "catboost", 8.0, stage="paused") for i in range(6)]
    board = Board(records, FOLDS, 1, set(), [])
    step = by_clock(20.0).next(board)
    assert step.record.number == 0
    assert step.fold == 1
    for r in records:
        r.stage = "paused"
    late = by_clock(5.0).next(board)
    assert late is None or late.record.stage != "paused"


def test_by_clock_nothing_is_started_that_cannot_end():
    names = list(SPACE["algorithm"].choices)
    records = [a_record(i, a, 30.0, folds=FOLDS, stage="complete") for i, a in enumerate(names)]
    assert by_clock(10.0).next(Board(records, FOLDS, 1, set(), [])) is None


def offers(*algorithms):
    """Proposes one algorithm after the other, the ones that were set aside counted."""

    def propose(finished, unfinished):
        number = len(finished) + len(unfinished)
        config = SPACE.complete({"algorithm": algorithms[(number - 2) % len(algorithms)]})
        return TrialRecord(number, config, "test", FOLDS)

    return propose


@pytest.mark.parametrize(
    ("left", "started"),
    [
        (100.0, "catboost"),  # all folds of the first
        (30.0, "linear"),  # all folds of the second rather than one of the first
        (3.0, None),
    ],
)
def test_by_clock_a_cheaper_proposal_is_taken_where_the_first_cannot_end(left, started):
    records = [a_record(i, a, s, folds=FOLDS, stage="complete") for i, (a, s) in enumerate(SECONDS.items())]
    board = Board(records, FOLDS, 1, set(), [])
    schedule = ByClock(
        left=lambda: left,
        limit=100.0,
        slots=lambda: 2,
        trials=None,
        propose=offers("catboost", "linear"),
        foretell=like_others,
    )
    step = schedule.next(board)
    assert (step and step.record.algorithm) == started
    if step is not None:
        assert step.record.number == len(records)


def test_by_clock_one_fold_is_better_than_none():
    records = [a_record(i, a, s, folds=FOLDS, stage="complete") for i, (a, s) in enumerate(SECONDS.items())]
    schedule = ByClock(
        left=lambda: 25.0, limit=100.0, slots=lambda: 2, trials=None, propose=offers("catboost"), foretell=like_others
    )
    assert schedule.next(Board(records, FOLDS, 1, set(), [])).record.algorithm == "catboost"


def test_by_clock_what_was_too_dear_is_not_asked_for_again_until_a_fit_has_ended():
    asked = []

    def propose(finished, unfinished):
        asked.append(len(finished))
        return offers("catboost")(finished, unfinished)

    board = Board([a_record(0, "catboost", 20.0, folds=1)], FOLDS, 1, {(0, 1), (0, 2)}, [])
    schedule = ByClock(
        left=lambda: 5.0, limit=100.0, slots=lambda: 2, trials=None, propose=propose, foretell=like_others
    )
    assert schedule.next(board) is None
    once = len(asked)
    assert schedule.next(board) is None
    assert len(asked) == once > 0
    board.records[0].folds[1] = FoldScore(0.1, 20.0)
    schedule.next(board)
    assert len(asked) > once


def test_by_clock_members_are_refined_when_there_are_repeats():
    records = [a_record(i, "linear", 0.5, folds=FOLDS, stage="complete") for i in range(8)]
    board = Board(records, FOLDS, 2, set(), [3, 1])
    steps = [by_clock(5.0, trials=8).next(board) for _ in range(2)]
    assert steps[0].record.number == 3
    assert steps[0].fold == FOLDS


def test_by_clock_the_number_of_trials_is_kept():
    records = [a_record(i, "linear", 0.1, folds=FOLDS, stage="complete") for i in range(4)]
    assert by_clock(50.0, trials=4).next(Board(records, FOLDS, 1, set(), [])) is None
