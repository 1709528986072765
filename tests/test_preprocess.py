"""Preprocessing: fitted on the training rows, the same after saving, finite for whatever comes."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import TargetEncoder

from autometa.tables.category_columns import Levels, TargetMeans, onehot, onehot_widths
from autometa.tables.number_columns import NumberColumns
from autometa.tables.preprocess import Preprocessor
from autometa.tables.table import Features
from tests.learning import config, table

FINITE = st.floats(-(2.0**127), 2.0**127, width=32, allow_subnormal=False)
SCALINGS = ("none", "standard", "robust", "quantile_normal")


def numbers_of(values, scaling, **given):
    options = {"imputation": "median", "seed": 0, **given}
    return NumberColumns.fit(np.asarray(values, np.float32), scaling=scaling, **options)


def features_of(numbers, codes, cardinalities):
    return Features(
        np.asarray(numbers, np.float32),
        np.asarray(codes, np.int32),
        tuple(cardinalities),
        tuple(f"x{i}" for i in range(np.shape(numbers)[1])),
        tuple(f"c{i}" for i in range(np.shape(codes)[1])),
    )


def levels_of(codes, cardinality, rare=1):
    codes = np.asarray(codes, np.int32)[:, None]
    return Levels.fit(features_of(np.empty((len(codes), 0)), codes, [cardinality]), rare=rare), codes


# Numbers


@pytest.mark.parametrize("scaling", SCALINGS)
@given(st.lists(FINITE | st.just(float("nan")), min_size=3, max_size=30))
@settings(max_examples=40, deadline=None)
def test_scaled_numbers_are_finite(scaling, column):
    values = np.array(column, np.float32)[:, None]
    if np.isnan(values).all():
        values[0] = 1.0
    found = numbers_of(values, scaling).transform(values)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


@pytest.mark.parametrize("scaling", ["standard", "robust", "quantile_normal"])
def test_scaling_keeps_the_order_and_makes_columns_comparable(scaling):
    values = np.random.default_rng(0).lognormal(0, 1, (3000, 1)) * 1000
    found = numbers_of(values, scaling).transform(values.astype(np.float32))[:, 0]
    order = np.argsort(values[:, 0])
    assert (np.diff(found[order]) >= 0).all()
    assert abs(np.median(found)) < 0.5
    assert 0.3 < found.std() < 2


def test_quantile_normal_gives_ties_their_middle_rank():
    values = np.array([0.0] * 50 + [1.0] * 50)[:, None]
    found = numbers_of(values, "quantile_normal").transform(values)
    assert found[0, 0] == pytest.approx(-0.6745, abs=1e-3)
    assert found[-1, 0] == pytest.approx(0.6745, abs=1e-3)


def test_robust_scaling_clips_smoothly():
    values = np.append(np.linspace(-1, 1, 100), 1e6)[:, None]
    found = numbers_of(values, "robust").transform(values)
    assert found.max() <= 3.0


@pytest.mark.parametrize(("imputation", "expected"), [("median", 2.0), ("mean", 4.0)])
def test_gaps_are_filled_from_the_training_rows(imputation, expected):
    fitted = numbers_of([[1.0], [2.0], [9.0], [np.nan]], "none", imputation=imputation)
    assert fitted.transform(np.array([[np.nan]], np.float32))[0, 0] == expected


# Categories


def test_levels_are_numbered_by_frequency_and_the_unknown_comes_last():
    levels, _ = levels_of([2, 2, 2, 0, 0, -1], 4)
    assert levels.sizes == (4,)
    shown = levels.codes(features_of(np.empty((5, 0)), [[2], [0], [-1], [1], [3]], [4]))
    assert shown[:, 0].tolist() == [0, 1, 2, 3, 3]


def test_rare_levels_are_merged_and_missing_ones_stay_apart():
    levels, codes = levels_of([0] * 10 + [1] * 9 + [2, 3, -1], 4, rare=5)
    shown = levels.codes(features_of(np.empty((22, 0)), codes, [4]))[:, 0]
    assert shown[19] == shown[20]
    assert len({shown[0], shown[10], shown[19], shown[21]}) == 4


def test_a_constant_category_is_left_out():
    levels, _ = levels_of([1, 1, 1], 3)
    assert levels.columns == ()


def test_missing_codes_without_missing_training_rows_are_unknown():
    levels, _ = levels_of([0, 1, 0, 1], 2)
    assert levels.codes(features_of(np.empty((1, 0)), [[-1]], [2]))[0, 0] == 2


def test_onehot_has_one_column_for_two_levels_and_zeros_for_the_unknown():
    codes = np.array([[0, 0], [1, 1], [2, 3]], np.int32)
    widths = onehot_widths((3, 4), 3)
    assert widths == (1, 3)
    assert onehot(codes, (3, 4), widths).tolist() == [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_onehot_is_capped():
    assert onehot_widths((1001,), 1000) == (50,)
    codes = np.array([[0], [48], [49], [999], [1000]], np.int32)
    shown = onehot(codes, (1001,), (50,))
    assert shown.argmax(axis=1).tolist()[:4] == [0, 48, 49, 49]
    assert shown[4].sum() == 0
    assert sum(onehot_widths((1001,) * 300, 1_000_000)) <= 600


def test_target_means_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 7, (500, 1)).astype(np.int32)
    target = codes[:, 0] * 0.3 + rng.standard_normal(500)
    fitted, _ = TargetMeans.fit_transform(codes, (8,), target[:, None], seed=0)
    expected = TargetEncoder(target_type="continuous").fit(codes, target).transform(codes)
    assert np.allclose(fitted.transform(codes), expected, atol=1e-5)


def test_target_means_of_training_rows_leave_their_own_target_out():
    rng = np.random.default_rng(0)
    codes = np.arange(300, dtype=np.int32)[:, None]
    target = rng.standard_normal((300, 1))
    _, shown = TargetMeans.fit_transform(codes, (301,), target, seed=0)
    assert abs(np.corrcoef(shown[:, 0], target[:, 0])[0, 1]) < 0.2


# All together


@pytest.mark.parametrize("algorithm", ["lightgbm", "extra_trees", "linear"])
@pytest.mark.parametrize("encoding", ["onehot", "ordinal", "target"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_a_restored_preprocessor_shows_the_same(algorithm, encoding, kind):
    given = table(kind)
    name = "booster_categories" if algorithm == "lightgbm" else "category_encoding"
    choice = "native" if (algorithm, encoding) == ("lightgbm", "onehot") else encoding
    fitted, _ = Preprocessor.fit(given.features, given.target, config(algorithm, **{name: choice}), kind, seed=1)
    restored = Preprocessor.from_state(fitted.state())
    one, two = fitted.transform(given.features), restored.transform(given.features)
    assert np.array_equal(one.numbers, two.numbers, equal_nan=True)
    assert np.array_equal(one.categories, two.categories)
    assert one.width == fitted.outputs
    assert one.continuous <= one.numbers.shape[1]
    if algorithm != "lightgbm":
        assert np.isfinite(one.numbers).all()


def test_nothing_is_learned_from_other_rows():
    given = table(rows=100)
    fitted, shown = Preprocessor.fit(given.features, given.target, config("linear"), "binary", seed=0)
    again = fitted.transform(given.features.take(np.arange(10)))
    assert np.array_equal(again.numbers, shown.numbers[:10])


def test_boosters_read_gaps_and_codes():
    given = table(rows=100)
    _, shown = Preprocessor.fit(given.features, given.target, config("lightgbm"), "binary", seed=0)
    assert np.isnan(shown.numbers).any()
    assert shown.cardinalities == (6, 6)
    assert shown.categories.min() >= 0


def test_indicators_say_where_the_gaps_were():
    given = table(rows=100, categories=0)
    options = {True: config("linear"), False: config("linear", missing_indicators=False)}
    widths = {
        on: Preprocessor.fit(given.features, given.target, options[on], "binary", seed=0)[1].width for on in options
    }
    assert widths == {True: 8, False: 4}


def test_timestamps_keep_their_differences():
    seconds = 1.7e9 + np.arange(50.0)
    numbers = seconds[:, None]
    given = Features(numbers, np.empty((50, 0), np.int32), (), ("t",), ())
    _, shown = Preprocessor.fit(given, np.arange(50) % 2, config("lightgbm"), "binary", seed=0)
    assert np.array_equal(np.diff(shown.numbers[:, 0]), np.ones(49))


def test_sixty_categories_are_encoded_quickly():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 30, (3000, 60)).astype(np.int32)
    given = features_of(np.empty((3000, 0)), codes, [30] * 60)
    started = time.process_time()
    Preprocessor.fit(given, rng.integers(0, 2, 3000), config("linear"), "binary", seed=0)
    assert time.process_time() - started < 0.5
