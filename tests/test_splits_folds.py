"""Folds: disjoint, complete, even, whole groups, and never backward in time."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autometa.errors import InputError
from autometa.tables.splits import Folds, make_folds
from autometa.tables.table import Features, Table


def table(target, classes=0):
    target = np.asarray(target, np.int64 if classes else np.float64)
    rows = len(target)
    features = Features(np.zeros((rows, 1), np.float32), np.empty((rows, 0), np.int32), (), ("x",), ())
    return Table(features, target, tuple(map(str, range(classes))))


TARGETS = st.one_of(
    st.lists(st.integers(0, 4), min_size=4, max_size=60).map(lambda t: table(t, 5)),
    st.lists(st.floats(-9, 9), min_size=4, max_size=60).map(table),
)


def check_pairs(folds, rows):
    for repeat in range(folds.repeats):
        validated = []
        for j in range(folds.k):
            train, valid = folds.pair(repeat * folds.k + j)
            assert len(train)
            assert len(valid)
            assert (np.diff(train) > 0).all()
            assert (np.diff(valid) > 0).all()
            assert not np.intersect1d(train, valid).size
            assert len(train) + len(valid) == rows
            validated.append(valid)
        assert (np.sort(np.concatenate(validated)) == np.arange(rows)).all()


@settings(max_examples=60, deadline=None)
@given(TARGETS, st.integers(2, 8), st.integers(1, 3), st.integers(0, 5))
def test_plain_folds(data, k, repeats, seed):
    folds = make_folds(data, k=k, repeats=repeats, seed=seed)
    assert folds.k == min(k, len(data))
    assert len(folds) == folds.k * repeats
    check_pairs(folds, len(data))
    for blocks in folds.blocks:
        sizes = np.bincount(blocks, minlength=folds.k)
        assert np.ptp(sizes) <= 1
        for c in range(len(data.classes)):
            # A class is spread as evenly as its rows allow, however few they are.
            assert np.ptp(np.bincount(blocks[data.target == c], minlength=folds.k)) <= 1


@settings(max_examples=60, deadline=None)
@given(TARGETS, st.data(), st.integers(2, 6), st.integers(1, 2))
def test_groups_stay_whole(data, draw, k, repeats):
    groups = draw.draw(st.lists(st.integers(0, 12), min_size=len(data), max_size=len(data)))
    groups[:2] = [0, 1]
    folds = make_folds(data, k=k, repeats=repeats, groups=np.array(groups))
    assert folds.k == min(k, len(set(groups)))
    check_pairs(folds, len(data))
    for fold in range(len(folds)):
        train, valid = folds.pair(fold)
        assert not set(np.take(groups, train)) & set(np.take(groups, valid))


@settings(max_examples=60, deadline=None)
@given(TARGETS, st.data(), st.integers(2, 6), st.integers(0, 5))
def test_time_goes_forward(data, draw, k, embargo):
    times = np.array(draw.draw(st.lists(st.integers(0, 15), min_size=len(data), max_size=len(data))))
    times[:2] = [3, 4]
    plain = make_folds(data, k=k, times=times)
    first = len(plain.pair(len(plain) - 1)[0])
    if embargo >= first:
        with pytest.raises(InputError, match=f"from 0 to {first - 1} rows here"):
            make_folds(data, k=k, times=times, embargo=embargo)
        return
    folds = make_folds(data, k=k, times=times, embargo=embargo)
    assert 1 <= folds.k <= k
    seen = []
    before = 0
    for fold in reversed(range(len(folds))):  # the latest is fold 0
        train, valid = folds.pair(fold)
        assert len(train)
        assert len(valid)
        assert times[train].max() < times[valid].min()
        assert len(train) > before
        before = len(train)
        gap = (times < times[valid].min()).sum() - len(train)
        assert gap == embargo
        left_out = np.setdiff1d(np.flatnonzero(times < times[valid].min()), train)
        assert not left_out.size or times[left_out].min() >= times[train].max()
        seen.append(valid)
    assert len(np.unique(np.concatenate(seen))) == sum(map(len, seen))
    assert np.concatenate(seen).size < len(data)


def test_the_same_seed_gives_the_same_folds_and_another_one_others():
    data = table(np.arange(50) % 3, 3)
    one, two = make_folds(data, k=5, repeats=2, seed=4), make_folds(data, k=5, repeats=2, seed=4)
    assert (one.blocks == two.blocks).all()
    assert (one.blocks[0] != one.blocks[1]).any()
    assert (one.blocks != make_folds(data, k=5, repeats=2, seed=5).blocks).any()
    groups = np.arange(50) // 4
    grouped = [make_folds(data, k=5, groups=groups, seed=s).blocks for s in (4, 4, 5)]
    assert (grouped[0] == grouped[1]).all()
    assert (grouped[0] != grouped[2]).any()


def test_no_global_generator_is_touched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002 (the one to be left alone)
    make_folds(table(np.arange(50.0)), k=5, groups=np.arange(50) // 2)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_rare_classes_are_said():
    folds = make_folds(table([0] * 20 + [1] * 20 + [2] * 3 + [3], 4), k=5)
    (finding,) = folds.findings
    assert finding.code == "rare-class"
    assert "'2', '3'" in finding.message


def test_a_regression_is_spread_over_the_range_of_its_target():
    target = np.random.default_rng(0).lognormal(sigma=2, size=40)
    for fold in range(5):
        _, valid = make_folds(table(target), k=5).pair(fold)
        assert (target[valid] > np.quantile(target, 0.75)).sum() in (1, 2, 3)


def test_classes_stay_even_where_groups_allow_it():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 60, 1200)
    target = (rng.random(60) < 0.2)[groups].astype(int)
    folds = make_folds(table(target, 2), k=5, groups=groups)
    shares = [target[folds.pair(f)[1]].mean() for f in range(5)]
    sizes = [len(folds.pair(f)[1]) for f in range(5)]
    assert np.ptp(shares) < 0.1
    assert max(sizes) < 1.25 * min(sizes)


def test_many_groups_are_dealt_quickly():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 200_000, 400_000)
    start = time.process_time()
    folds = make_folds(table(rng.integers(0, 3, 400_000), 3), k=5, groups=groups)
    assert time.process_time() - start < 4  # 0.3 s on an idle core
    sizes = [len(folds.pair(f)[1]) for f in range(5)]
    assert max(sizes) < 1.02 * min(sizes)


def test_groups_of_strings_and_missing_ones():
    groups = pd.Series(["a", "b", None, "c", None, "a"] * 5, name="g")
    folds = make_folds(table(np.arange(30) % 2, 2), k=2, groups=groups)
    for fold in range(2):
        train, valid = folds.pair(fold)
        assert not set(groups[train].fillna("?")) & set(groups[valid].fillna("?"))


def test_fewer_groups_than_folds_are_said():
    folds = make_folds(table(np.arange(30.0)), k=5, groups=np.arange(30) % 3)
    assert folds.k == 3
    assert [f.code for f in folds.findings] == ["few-groups"]


@pytest.mark.parametrize("written", ["%Y-%m-%d", "%d.%m.%Y", None, "number"])
def test_times_of_every_kind(written):
    days = pd.Series(pd.date_range("2019-12-20", periods=40)).sample(frac=1, random_state=0)
    order = days.rank().to_numpy()
    times = order if written == "number" else days if written is None else days.dt.strftime(written)
    folds = make_folds(table(np.arange(40.0)), k=3, times=times)
    for fold in range(3):
        train, valid = folds.pair(fold)
        assert order[train].max() < order[valid].min()


def test_one_crowded_time():
    folds = make_folds(table(np.arange(30.0)), k=4, times=np.array([0] * 28 + [1, 2]))
    assert [f.code for f in folds.findings] == ["few-times"]
    train, valid = folds.pair(0)
    assert train.tolist() == list(range(28))
    assert valid.min() == 28


@pytest.mark.parametrize("times", [None, np.arange(40) % 13])
def test_folds_are_saved_and_loaded(tmp_path, times):
    folds = make_folds(table(np.arange(40.0)), k=3, repeats=2, times=times, embargo=2 if times is not None else 0)
    for name, one in (("plain", folds), ("within", folds.within(np.arange(40) * 2))):
        one.save(tmp_path / name)
        two = Folds.load(tmp_path / name)
        assert len(one) == len(two)
        for fold in range(len(one)):
            for a, b in zip(one.pair(fold), two.pair(fold), strict=True):
                assert (a == b).all()


def test_folds_within_a_larger_table():
    folds = make_folds(table(np.arange(10.0)), k=2)
    rows = np.arange(10) * 3 + 1
    for a, b in zip(folds.pair(1), folds.within(rows).pair(1), strict=True):
        assert (rows[a] == b).all()


@pytest.mark.parametrize("arguments", [{"k": 1}, {"k": 3, "repeats": 0}])
def test_senseless_numbers_of_folds(arguments):
    with pytest.raises(InputError, match="at least 2 folds"):
        make_folds(table(np.arange(10.0)), **arguments)


def test_groups_and_times_together():
    with pytest.raises(InputError, match="by group or by time"):
        make_folds(table(np.arange(10.0)), k=2, groups=np.arange(10), times=np.arange(10))


def test_an_embargo_without_times():
    with pytest.raises(InputError, match="no time column"):
        make_folds(table(np.arange(10.0)), k=2, embargo=1)


def test_a_fold_that_is_not_there():
    with pytest.raises(InputError, match=r"in 0\.\.3; got 4"):
        make_folds(table(np.arange(10.0)), k=2, repeats=2).pair(4)
