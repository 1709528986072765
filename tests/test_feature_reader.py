"""Meta-features as numbers for a network: gaps, texts, and whatever else datasets may say of themselves."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autometa.policies.meta_features import Reader

DATASETS = [
    {"rows": float(r), "columns": c, "kind": "binary"} for r, c in [(10, 3), (20, 5), (40, 9), (90, 2), (30, 4)]
]
NAN, INF = math.nan, math.inf
TEXTS = ("", "many", "3", "nan")


def test_numbers_are_standardised_by_median_and_deviation():
    reader = Reader.fit(DATASETS)
    assert reader.names == ("columns", "rows")
    at = dict(zip(reader.names, range(2), strict=True))
    assert reader.read({"rows": 30.0, "columns": 4})[at["rows"]] == 0.0
    assert reader.middle[at["rows"]] == 30.0
    assert reader.spread[at["rows"]] == pytest.approx(1.4826 * 10.0)  # distances from 30: 0, 10, 10, 20, 60
    found = reader.read({"rows": 30.0 + reader.spread[at["rows"]], "columns": 4})
    assert found == pytest.approx([0.0, 1.0, 1.0])


def test_what_is_unknown_is_the_middle_and_the_last_number_says_whether_any_is_known():
    reader = Reader.fit(DATASETS)
    assert reader.read({}).tolist() == [0.0, 0.0, 0.0]
    assert reader.read({"kind": "binary", "age": 3.0}).tolist() == [0.0, 0.0, 0.0]
    assert reader.read({"rows": 30.0}).tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("odd", [NAN, INF, -INF, *TEXTS, None])
def test_what_is_no_number_is_unknown(odd):
    reader = Reader.fit([*DATASETS, {"rows": odd, "columns": 4}])
    assert reader.names == ("columns", "rows")
    assert reader.read({"rows": odd, "columns": 4}).tolist() == reader.read({"columns": 4}).tolist()


def test_far_numbers_say_no_more_than_that():
    reader = Reader.fit(DATASETS)
    assert reader.read({"rows": 1e30}).tolist() == [0.0, 3.0, 1.0]
    assert reader.read({"rows": -1e30}).tolist() == [0.0, -3.0, 1.0]


def test_text_constants_and_what_few_datasets_have_are_not_read():
    assert Reader.fit([d | {"one": 1.0} for d in DATASETS] + [{"rare": 1.0}, {"rare": 2.0}]).names == (
        "columns",
        "rows",
    )
    assert Reader.fit([]).names == Reader.fit([{}, {}]).names == ()


def test_datasets_that_are_not_described_do_not_count():
    assert Reader.fit([*DATASETS, *[{}] * 20]) == Reader.fit(DATASETS)


def test_without_features_there_is_one_number():
    assert Reader().read({"rows": 3.0}).tolist() == [0.0]
    assert Reader().read_all([], 4).shape == (4, 1)
    assert Reader.fit(DATASETS).read_all([], 4).tolist() == np.zeros((4, 3)).tolist()
    assert Reader.fit(DATASETS).read_all(DATASETS, 5).shape == (5, 3)


numbers = st.one_of(st.floats(-1e100, 1e100), st.sampled_from([NAN, INF, -INF, 1e-300, 0.0]), st.integers(-5, 5))
described = st.dictionaries(st.sampled_from("abc"), st.one_of(numbers, st.sampled_from(TEXTS)), max_size=3)


@given(st.lists(described, max_size=6), described)
def test_whatever_is_said_there_is_a_number_for_it(datasets, new):
    reader = Reader.fit(datasets)
    found = reader.read(new)
    assert found.shape == (len(reader) + 1,)
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= 3.0
