"""The evidence behind the report: right where it can be checked, in time, and plain JSON."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from run_folders import Data, make_data

from autometa.search.describe import describe_data
from autometa.search.evidence import collect_evidence, plain
from autometa.search.relation import binned, common_levels, correlation_ratio
from autometa.tables.metrics import resolve_metric
from autometa.tables.schema import Schema


def evidence(data: Data, **changes):
    table = data.table
    arguments = {
        "rows": np.arange(len(table)),
        "predictions": data.predict(table.features),
        "threshold": None,
        "predict": data.predict,
        "metric": resolve_metric(None, table.kind),
        "seconds": 5.0,
        "seed": 0,
    }
    return collect_evidence(table, **(arguments | changes))


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_it_is_plain_json_and_the_same_twice(kind) -> None:
    data = make_data(kind, rows=400)
    first = evidence(data)
    json.dumps(first, allow_nan=False)
    assert first == evidence(data)


def test_two_classes_agree_with_scikit_learn() -> None:
    from sklearn.metrics import confusion_matrix, f1_score, roc_auc_score

    data = make_data("binary", rows=800)
    target, probability = data.table.target, data.predict(data.table.features)[:, 1]
    found = evidence(data, threshold=0.3)
    said = probability >= 0.3
    assert found["confusion"]["counts"] == confusion_matrix(target, said).tolist()
    scores = {c["class"]: c["f1"] for c in found["per_class"]}
    assert scores[">50K"] == pytest.approx(f1_score(target, said), rel=1e-5)
    assert found["roc"]["area"] == pytest.approx(roc_auc_score(target, probability), rel=1e-5)
    assert found["roc"]["points"][0] == [0, 0]
    assert found["roc"]["points"][-1] == [1, 1]
    assert len(found["roc"]["points"]) <= 170
    assert found["guess_score"] == 0.5
    assert sum(map(sum, found["separation"]["counts"])) == len(target)


def test_reliability_of_probabilities_that_are_right() -> None:
    data = make_data("binary", rows=20_000)
    probability = np.random.default_rng(0).random(20_000).astype(np.float32)
    target = (np.random.default_rng(1).random(20_000) < probability).astype(np.int64)
    data.table = replace(data.table, target=target)
    found = evidence(data, predictions=np.column_stack([1 - probability, probability]), seconds=0.0)
    bins = found["reliability"]["bins"]
    assert sum(b["rows"] for b in bins) == 20_000
    assert found["reliability"]["error"] < 0.02
    assert sum(b["low"] <= b["predicted"] <= b["high"] for b in bins) >= len(bins) - 2


def test_many_classes_are_cut_to_what_can_be_read() -> None:
    data = make_data("multiclass", rows=2_000, classes=300)
    found = evidence(data)
    confusion = found["confusion"]
    assert len(confusion["classes"]) == 19
    assert confusion["others"] == 281
    assert np.sum(confusion["counts"]) == 2_000
    assert len(confusion["pairs"]) == 12
    assert len(found["per_class"]) == 200


@pytest.mark.parametrize("rows", [300, 3_000])
def test_numbers(rows) -> None:
    data = make_data("regression", rows=rows)
    found = evidence(data)
    error = np.abs(data.table.target - data.predict(data.table.features)[:, 0])
    assert found["errors"]["half_within"] == pytest.approx(np.median(error), rel=1e-4)
    assert 0.5 < found["errors"]["explained"] < 1
    shown = found["agreement"]
    assert len(shown["points"]) == rows if rows == 300 else np.sum(shown["grid"]) == rows


def test_a_constant_target_and_no_rows_do_no_harm() -> None:
    data = make_data("regression", rows=50)
    data.table = replace(data.table, target=np.full(50, 3.0))
    json.dumps(evidence(data, predictions=np.full((50, 1), 3.0, np.float32)), allow_nan=False)
    for kind in ("binary", "regression"):
        data = make_data(kind, rows=20)
        predictions = data.predict(data.table.features)[:0]
        json.dumps(evidence(data, rows=np.arange(0), predictions=predictions), allow_nan=False)


def test_one_class_among_the_rows() -> None:
    data = make_data("binary", rows=60)
    rows = np.flatnonzero(data.table.target == 0)
    found = evidence(data, rows=rows, predictions=data.predict(data.table.features.take(rows)))
    assert "roc" not in found
    assert found["importance"]["columns"] == []


def test_importance_finds_what_the_model_uses() -> None:
    data = make_data("binary", rows=1_500, columns=10)
    found = evidence(data)["importance"]
    assert found["done"] == found["total"] == 16
    by_name = {c["column"]: c for c in found["columns"]}
    assert found["columns"][0]["column"] == "schooling"
    assert by_name["schooling"]["mean"] > 5 * by_name["schooling"]["std"] > 0
    assert by_name["city"]["mean"] == 0
    assert by_name["sensor_003"]["mean"] == 0


def test_parts_of_one_column_are_shuffled_together() -> None:
    data = make_data("binary", rows=800)
    origins = {"age": "person", "hours_per_week": "person"}
    found = evidence(data, origins=origins)["importance"]
    by_name = {c["column"]: c["mean"] for c in found["columns"]}
    alone = {c["column"]: c["mean"] for c in evidence(data)["importance"]["columns"]}
    assert found["total"] == 5
    assert by_name["person"] > max(alone["age"], alone["hours_per_week"])


def test_importance_stops_in_time_with_the_promising_columns_done() -> None:
    data = make_data("binary", rows=2_000, columns=150)

    def slow(features):
        time.sleep(len(features) * 2e-5)
        return data.predict(features)

    begun = time.monotonic()
    found = evidence(data, predict=slow, seconds=1.5)["importance"]
    assert time.monotonic() - begun < 2.2
    assert 0 < found["done"] < found["total"] == 156
    assert "schooling" in {c["column"] for c in found["columns"]}


def test_without_time_there_is_no_importance() -> None:
    def never(features):
        raise AssertionError

    assert evidence(make_data("binary", rows=200), predict=never, seconds=0.0)["importance"]["done"] == 0


def test_encoded_columns_lead_back_to_original_ones() -> None:
    days = pd.date_range("2020-01-01", periods=60).strftime("%Y-%m-%d")
    frame = pd.DataFrame({"when": days, "size": np.linspace(0, 1, 60), "kind": ["a", "b"] * 30})
    schema, _ = Schema.fit(frame, exclude=set())
    origins = schema.number_origins
    assert set(origins) == set(schema.number_names)
    assert set(origins.values()) == {"when", "size"}


def test_description_of_columns() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 500)
    moments = pd.date_range("2020-01-31", periods=500, freq="D")
    frame = pd.DataFrame(
        {
            "twin": np.where(target == 1, "yes", "no"),
            "noise": rng.normal(size=500),
            "gaps": np.where(rng.random(500) < 0.5, np.nan, target),
            "when": moments,
            "written": moments.strftime("%d.%m.%Y"),
            "mixed": [str(x) if x % 9 else "none at all" for x in range(500)],
            "flag": target == 1,
            "id": [f"x{i}" for i in range(500)],
            "lists": [[1]] * 500,
            "empty": [None] * 500,
            "target": target,
        }
    )
    roles = {"written": "date", "mixed": "number", "id": "id"}
    found = describe_data(frame, "target", classes=("0", "1"), roles=roles)
    json.dumps(found, allow_nan=False)
    columns = {c["name"]: c for c in found["columns"]}
    assert columns["twin"]["relation"] == pytest.approx(1, abs=0.01)
    assert columns["twin"]["top"][0][0] in ("yes", "no")
    assert columns["noise"]["relation"] < 0.2
    assert columns["gaps"]["missing"] == pytest.approx(0.5, abs=0.1)
    assert columns["when"]["low"] == columns["written"]["low"] == "2020-01-31"
    assert columns["mixed"]["missing"] == pytest.approx(1 / 9, abs=0.01)
    assert columns["flag"]["relation"] == pytest.approx(1, abs=0.01)
    assert {v for v, _ in columns["flag"]["top"]} == {"True", "False"}
    assert columns["id"]["relation"] == 0
    assert columns["empty"]["distinct"] == 0
    assert found["target"]["distinct"] == 2
    assert sum(n for _, n in found["target"]["top"]) == 500


def test_a_large_table_is_sampled() -> None:
    frame = pd.DataFrame({"a": np.arange(50_000), "y": np.arange(50_000) % 3})
    found = describe_data(frame, "y", classes=("0", "1", "2"))
    assert (found["rows"], found["looked_at"]) == (50_000, 20_000)


def test_correlation_ratio_against_its_definition() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 4, 4_000)
    values = groups + rng.normal(size=4_000)
    ranks = pd.Series(values).rank()
    between = ranks.groupby(groups).transform("mean").var(ddof=0) / ranks.var(ddof=0)
    assert correlation_ratio(groups, values) == pytest.approx(math.sqrt(between), abs=0.01)
    assert correlation_ratio(groups, groups.copy()) == pytest.approx(1)
    assert correlation_ratio(groups, rng.integers(0, 5, 4_000)) < 0.05
    assert correlation_ratio(np.zeros(10, np.int64), np.arange(10.0)) == 0
    assert correlation_ratio(groups, np.ones(4_000)) == 0


def test_bins_and_levels() -> None:
    codes = binned(np.array([1.0, 2.0, 3.0, np.nan, np.inf]), bins=3)
    assert codes[3] == codes[4] > codes[:3].max()
    assert binned(np.full(3, np.nan)).tolist() == [0, 0, 0]
    merged = common_levels(np.array([5, 5, 5, -1, -1, 7, 8]), levels=2)
    assert merged.tolist() == [0, 0, 0, 1, 1, 2, 2]


def test_plain_values() -> None:
    mixed = {"a": np.float32(0.123456789), 1: [np.nan, np.int64(3), True, None, "x"], "b": np.array([math.inf])}
    assert plain(mixed) == {"a": 0.123457, "1": [None, 3, True, None, "x"], "b": [None]}
