"""The target: which column it is, what kind of task it makes, and labels that come back as they were."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autometa.errors import InputError
from autometa.tables.reading import read_table
from autometa.tables.target import TargetCodec, choose_target, infer_task

RNG = np.random.default_rng(0)
DATA = Path(os.environ.get("AUTOMETA_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
TABLES = DATA / "tabular"


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["a", "target", "class", "z"], "target"),
        (["Class", "label", "z"], "Class"),
        (["LABEL", "y", "z"], "LABEL"),
        (["y", "a", "z"], "y"),
        (["a", "b", "z"], "z"),
    ],
)
def test_the_usual_names_then_the_last(names, chosen):
    name, finding = choose_target(pd.DataFrame(columns=names), None)
    assert name == chosen
    assert finding.code == "target-chosen"
    assert finding.columns == (chosen,)


def test_a_named_target_is_taken_without_a_word():
    assert choose_target(pd.DataFrame(columns=["a", "target"]), "a") == ("a", None)


def series(values, dtype=None):
    return pd.Series(values, dtype=dtype, name="t")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b"] * 50, "binary"),
        (["a", "b", "c"] * 50, "multiclass"),
        ([True, False] * 50, "binary"),
        ([True, False, None, True] * 25, "binary"),
        ([0, 1] * 50, "binary"),
        ([-1.0, 1.0, np.nan, 1.0] * 25, "binary"),
        ([0.5, 1.5] * 50, "binary"),
        ([1, 2, 3] * 50, "multiclass"),
        ([1.0, 2.0, 3.0] * 50, "multiclass"),
        (["1", "2", "3"] * 50, "multiclass"),
        ([0.1, 0.2, 0.3] * 50, "regression"),
        (np.arange(100), "regression"),
        (RNG.normal(size=100), "regression"),
        ([str(x) for x in RNG.normal(size=100)], "regression"),
        (["$1,200", "$950.50", "$3"] * 10, "regression"),
        # Few rows for each of many numbers: a grade of a small class is a number.
        (list(range(8)) * 4, "regression"),
        (list(range(8)) * 20, "multiclass"),
        # A count has a tail.
        ([*np.repeat(np.arange(13), 30), 14], "regression"),
        # A measurement is rounded to a step.
        (np.repeat(np.arange(0, 110, 10), 30), "regression"),
        (np.repeat(np.arange(15), 30), "multiclass"),
        # A designed experiment has equally many of each.
        (np.repeat(np.arange(100), 16), "multiclass"),
        (RNG.poisson(50, 2000), "regression"),
    ],
)
def test_the_kind_of_task(values, kind):
    assert infer_task(series(values)) == kind


def test_the_kind_of_declared_columns():
    numbers = RNG.integers(0, 50, 200)
    assert infer_task(pd.Series(numbers.astype(str), dtype="category", name="t")) == "multiclass"
    assert infer_task(pd.Series(numbers, name="t").astype("category")) == "multiclass"
    assert infer_task(pd.Series(numbers, name="t").astype("Int64")) == "regression"


def test_what_the_user_asks_for_decides():
    assert infer_task(series([1, 2, 3] * 50), "regression") == "regression"
    assert infer_task(series(np.repeat(np.arange(40), 5)), "classification") == "multiclass"
    assert infer_task(series([True, False] * 50), "regression") == "regression"


@pytest.mark.skipif(not TABLES.exists(), reason=f"no data folder at {DATA}: set AUTOMETA_DATA")
def test_the_kind_of_known_tables():
    index = pd.read_csv(TABLES / "index.csv").set_index("name")["task"]

    def target_of(name):
        return pd.read_parquet(TABLES / f"{name}.parquet", columns=["target"])["target"]

    found = {name: infer_task(target_of(name)) for name in index.index}
    assert (pd.Series(found) == index).mean() >= 0.97


ROUND_TRIPS = [
    ["no", "yes"] * 10,
    ["none", "-", "+", "None"] * 5,
    [3, 1, 2, 2] * 5,
    [3.0, 1.0, None, 2.0] * 5,
    [0.5, 1.5] * 10,
    [True, False] * 10,
    pd.array([True, None, False, True] * 5, dtype="boolean"),
    pd.array([1, None, 2, 1] * 5, dtype="Int64"),
    pd.Categorical(["b", "a", None, "a"] * 5),
    pd.Categorical([10, 9, 10, 9] * 5),
    pd.Categorical([True, False] * 10),
    pd.Categorical(["low", "high"] * 10, categories=["low", "mid", "high"], ordered=True),
    pd.Series([True, False, None, True] * 5, dtype=object),
    ["10", "9", "10", "8"] * 5,
    [" a ", "b"] * 10,
]


@pytest.mark.parametrize("values", ROUND_TRIPS, ids=str)
def test_labels_come_back_as_they_were(values):
    target = pd.Series(values, name="t")
    codec, known, findings = TargetCodec.fit(target, infer_task(target, "classification"))
    assert known.tolist() == target.notna().tolist()
    assert [f.code for f in findings] == (["missing-target"] if target.isna().any() else [])
    codec = TargetCodec.from_json(json.loads(json.dumps(codec.to_json())))
    codes = codec.encode(target[known])
    assert codes.dtype == np.int64
    assert set(codes) == set(range(len(codec.classes)))
    decoded = codec.decode(codes)
    for back, original in zip(decoded.tolist(), target[known].tolist(), strict=True):
        assert back == (original.strip() if isinstance(original, str) else original)
    assert all(isinstance(name, str) for name in codec.classes)


def test_whole_numbers_come_back_whole_though_gaps_made_them_floats():
    target = series([1.0, 2.0, np.nan, 1.0] * 5)
    codec, known, _ = TargetCodec.fit(target, "binary")
    assert codec.labels == (1, 2)
    assert codec.classes == ("1", "2")
    assert codec.decode(codec.encode(target[known])).dtype.kind == "i"


def test_labels_of_mixed_types_become_strings():
    codec, _, _ = TargetCodec.fit(series([1, "a", 2.0, True] * 5, object), "multiclass")
    assert codec.labels == ("1", "2", "True", "a")


def test_the_order_of_classes():
    assert TargetCodec.fit(series(["b", "a"] * 10), "binary")[0].classes == ("a", "b")
    assert TargetCodec.fit(series(["10", "9"] * 10), "binary")[0].classes == ("9", "10")
    ordered = pd.Categorical(["low", "high"] * 10, categories=["low", "mid", "high"], ordered=True)
    assert TargetCodec.fit(series(ordered), "binary")[0].classes == ("low", "high")


def test_labels_are_known_again_in_another_dtype(tmp_path):
    train = series([0, 1] * 10)
    codec, _, _ = TargetCodec.fit(train, "binary")
    for dtype in ("float64", "str", "category", "Int8", "object", "string[pyarrow]"):
        assert codec.encode(train.astype(dtype)).tolist() == [0, 1] * 10
    assert codec.encode(series(["0.0", "1.0"])).tolist() == [0, 1]
    train.to_csv(tmp_path / "t.csv", index=False)
    assert codec.encode(read_table(tmp_path / "t.csv").frame["t"]).tolist() == [0, 1] * 10


def test_numbers_lose_what_is_missing_or_infinite():
    target = series([*np.arange(20.0), np.nan, np.inf, -np.inf])
    codec, known, findings = TargetCodec.fit(target, "regression")
    assert known.tolist() == [True] * 20 + [False] * 3
    assert findings[0].message.startswith("3 of 23 rows are left out")
    assert codec.classes == ()
    assert codec.encode(target[:20]).tolist() == list(range(20))
    assert codec.decode(np.array([1.5])).tolist() == [1.5]


def test_classes_that_were_not_seen_are_named_and_left_out():
    codec, _, _ = TargetCodec.fit(series(["a", "b"] * 10), "binary")
    found = codec.encode_known(series(["a", "c", None, "b"]))
    assert found.values.tolist() == [0, -1, -1, 1]
    assert found.known.tolist() == [True, False, False, True]
    assert [f.code for f in found.findings] == ["missing-target", "unseen-classes"]
    assert "'c'" in found.findings[1].message
    with pytest.raises(InputError, match="1 rows are left out, as their class was not seen at the fit: 'c'"):
        codec.encode(series(["a", "c"]))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["a", "B", "1", "1.0", "x y", "ß", "none"]), min_size=40, max_size=60))
def test_any_labels_round_trip(values):
    target = series([*values, "end", "start"])
    codec, known, _ = TargetCodec.fit(target, infer_task(target, "classification"))
    assert known.all()
    assert codec.decode(codec.encode(target)).tolist() == target.tolist()
