"""Leaks: a column that gives the target away is named, an honest one is not."""

import time

import numpy as np
import pytest

from autometa.tables.leaks import find_leaks, row_hashes, shared_rows
from autometa.tables.table import Features, Table

ROWS = 2000


def table(target, *, numbers=(), categories=(), classes=0, seed=0):
    rng = np.random.default_rng(seed)
    rows = len(target)
    matrix = np.column_stack([*numbers, rng.normal(size=(rows, 2))]).astype(np.float32)
    codes = np.column_stack([*categories, rng.integers(0, 5, rows)]).astype(np.int32)
    features = Features(
        matrix,
        codes,
        tuple(int(column.max()) + 1 for column in codes.T),
        (*(f"suspect{i}" for i in range(len(numbers))), "honest0", "honest1"),
        (*(f"suspect_category{i}" for i in range(len(categories))), "honest_category"),
    )
    return Table(features, target, tuple(map(str, range(classes))))


def leaks(found):
    return {name for finding in found if finding.code == "leak" for name in finding.columns}


RNG = np.random.default_rng(1)
LABELS = RNG.integers(0, 3, ROWS)
VALUES = np.exp(RNG.normal(size=ROWS))
X = RNG.normal(size=ROWS)


@pytest.mark.parametrize(
    "suspect",
    [
        LABELS,
        -5.0 * LABELS,
        np.array([7.0, -3.0, 100.0])[LABELS],
        LABELS * 10 + RNG.random(ROWS),
        np.where(LABELS == 1, np.nan, LABELS),
    ],
    ids=["equal", "negated", "recoded", "within bands", "missing where one class is"],
)
def test_a_number_that_gives_the_class_away(suspect):
    assert leaks(find_leaks(table(LABELS, numbers=[suspect], classes=3))) == {"suspect0"}


def test_a_missing_value_that_gives_the_class_away():
    labels = (RNG.random(ROWS) < 0.3).astype(int)
    suspect = np.where(labels == 1, np.nan, RNG.normal(size=ROWS))
    assert leaks(find_leaks(table(labels, numbers=[suspect], classes=2))) == {"suspect0"}


def test_a_category_that_gives_the_class_away():
    recoded = np.array([2, 0, 1])[LABELS]
    finer = LABELS * 20 + RNG.integers(0, 20, ROWS)
    found = find_leaks(table(LABELS, categories=[recoded, finer], classes=3))
    assert leaks(found) == {"suspect_category0", "suspect_category1"}


def test_a_number_that_is_a_code():
    # Codes in no order: the nearest other code says nothing, the code itself says all.
    code = RNG.permutation(200)
    labels = RNG.integers(0, 2, 200)
    which = RNG.integers(0, 200, ROWS)
    assert leaks(find_leaks(table(labels[which], numbers=[code[which]], classes=2))) == {"suspect0"}


@pytest.mark.parametrize(
    "suspect",
    [VALUES, np.log(VALUES), 1 / VALUES, 3 * VALUES - 1, np.round(np.log(VALUES), 3)],
    ids=["equal", "log", "inverse", "linear", "rounded"],
)
def test_a_number_that_gives_the_value_away(suspect):
    assert leaks(find_leaks(table(VALUES, numbers=[suspect]))) == {"suspect0"}


def test_a_rule_that_is_not_monotone_and_a_category_that_gives_the_value_away():
    found = find_leaks(table(np.abs(X), numbers=[X]))
    assert leaks(found) == {"suspect0"}
    means = RNG.normal(size=20)
    codes = RNG.integers(0, 20, ROWS)
    assert leaks(find_leaks(table(means[codes], categories=[codes]))) == {"suspect_category0"}


@pytest.mark.parametrize("noise", [0.1, 0.3, 1.0])
def test_strong_but_honest_columns_are_no_leaks(noise):
    near = X + noise * RNG.normal(size=ROWS)
    assert leaks(find_leaks(table(near, numbers=[X]))) == set()
    assert leaks(find_leaks(table((near > 0).astype(int), numbers=[X], classes=2))) == set()
    wrong = np.where(RNG.random(ROWS) < noise / 5, (LABELS + 1) % 3, LABELS)
    assert leaks(find_leaks(table(LABELS, categories=[wrong], classes=3))) == set()


def test_a_rare_class_is_no_reason_to_cry_leak():
    labels = np.zeros(ROWS, np.int64)
    labels[:3] = 1
    assert leaks(find_leaks(table(labels, numbers=[X], categories=[RNG.integers(0, 9, ROWS)], classes=2))) == set()
    few = np.r_[np.zeros(10, int), np.ones(10, int)]
    assert leaks(find_leaks(table(few, numbers=[few], classes=2))) == set()


def test_copies_of_rows_are_counted_with_their_conflicts():
    original = table(LABELS, classes=3)
    rows = np.r_[np.arange(ROWS), np.arange(100)]
    copied = original.take(rows)
    copied.target[-1] = (copied.target[-1] + 1) % 3
    (finding,) = find_leaks(copied)
    assert finding.code == "duplicate-rows"
    assert finding.message.startswith("200 of 2,100 rows (9.5%) have the same inputs as another row, 2 of them")
    assert find_leaks(original) == []


def test_coarse_inputs_that_coincide_are_no_copies():
    features = Features(
        np.empty((ROWS, 0), np.float32), RNG.integers(0, 3, (ROWS, 3)).astype(np.int32), (3,) * 3, (), ("a", "b", "c")
    )
    assert find_leaks(Table(features, RNG.integers(0, 2, ROWS), ("0", "1"))) == []
    assert find_leaks(Table(features, X)) == []


def test_equal_rows_have_equal_hashes():
    numbers = np.array([[0.0, 1], [-0.0, 1], [np.nan, 1], [np.float32("nan"), 1], [1, 0]], np.float32)
    hashes = row_hashes(Features(numbers, np.zeros((5, 1), np.int32), (1,), ("a", "b"), ("c",)))
    assert hashes[0] == hashes[1]
    assert hashes[2] == hashes[3]
    assert len(set(hashes.tolist())) == 3


def test_test_rows_that_are_training_rows():
    train = table(LABELS, classes=3).features
    other = table(LABELS, classes=3, seed=5).features
    (finding,) = shared_rows(train, train.take(np.arange(50)))
    assert finding.code == "test-rows-seen"
    assert shared_rows(train, other) == []


@pytest.mark.parametrize("classes", [0, 3])
def test_looking_for_leaks_is_quick(classes):
    rows = 10_000
    target = RNG.integers(0, 3, rows) if classes else RNG.normal(size=rows)
    wide = table(target, numbers=list(RNG.normal(size=(98, rows))), classes=classes)
    start = time.process_time()
    find_leaks(wide)
    assert time.process_time() - start < 2  # 0.2 s on an idle core
