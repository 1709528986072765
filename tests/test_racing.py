"""Who is stopped early, and who is not."""

import numpy as np

from autometa.search.racing import hopeless
from autometa.search.records import FoldScore, TrialRecord


def trial(number, algorithm, *losses):
    folds = {i: FoldScore(x, 1.0) for i, x in enumerate(losses)}
    return TrialRecord(number, {"algorithm": algorithm}, "test", 5, folds)


OTHERS = [trial(i, "lightgbm", *[0.2 + 0.01 * i] * 5) for i in range(6)]
CONSTANT = [1.0] * 5


def judged(record, others=OTHERS, rows=1000):
    return hopeless(record, others, constant=CONSTANT, rows_per_fold=rows)


def test_a_bad_sibling_is_stopped_and_a_good_one_goes_on():
    assert "skill" in judged(trial(9, "lightgbm", 0.4))
    assert judged(trial(9, "lightgbm", 0.21)) == ""


def test_the_first_of_its_kind_may_be_worse():
    assert judged(trial(9, "linear", 0.4)) == ""
    assert judged(trial(9, "linear", 0.7)) != ""


def test_few_rows_or_few_rivals_stop_nobody():
    assert judged(trial(9, "lightgbm", 0.9), rows=20) == ""
    assert judged(trial(9, "lightgbm", 0.9), OTHERS[:3]) == ""


def test_only_the_same_folds_are_compared():
    # On their first fold the others are bad as well: nothing is known against this one.
    others = [trial(i, "lightgbm", 0.9, 0.1, 0.1, 0.1, 0.1) for i in range(6)]
    assert judged(trial(9, "lightgbm", 0.85), others) == ""


def test_where_nothing_beats_a_constant_nobody_is_stopped():
    others = [trial(i, "lightgbm", *[1.1] * 5) for i in range(6)]
    assert judged(trial(9, "lightgbm", 1.2), others) == ""


def test_an_undefined_loss_decides_nothing():
    assert judged(trial(9, "lightgbm", np.nan)) == ""
