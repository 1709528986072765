"""Blending: better than the best where members complete each other, harmless where they do not."""

import numpy as np
import pytest

from autometa.search.best import _few_siblings
from autometa.search.records import TrialRecord
from autometa.space import Space
from autometa.tables.calibration import Touch, find_touch
from autometa.tables.ensemble import blend
from autometa.tables.metrics import resolve_metric

RMSE = resolve_metric("rmse", "regression")


def noisy(target, rng, sd, members):
    return np.stack([target + sd * rng.standard_normal(len(target)) for _ in range(members)])[..., None]


def test_independent_errors_average_out():
    rng = np.random.default_rng(0)
    target = rng.standard_normal(2000)
    predictions = noisy(target, rng, 1.0, 8)
    found = blend(predictions, target, RMSE)
    assert found.weights.sum() == pytest.approx(1.0)
    assert found.nested_loss < 0.45  # 1 / sqrt(8) = 0.35
    assert (found.weights > 0).sum() >= 6


def test_a_useless_member_gets_no_weight():
    rng = np.random.default_rng(0)
    target = rng.standard_normal(500)
    good, bad = noisy(target, rng, 0.1, 1), noisy(target, rng, 5.0, 3)
    found = blend(np.concatenate([bad, good]), target, RMSE)
    assert found.weights[3] > 0.95


def test_the_same_seed_makes_the_same_weights():
    rng = np.random.default_rng(1)
    target = rng.integers(0, 3, 400)
    raw = rng.random((6, 400, 3)) + 2 * np.eye(3)[target] * rng.random((6, 1, 1))
    predictions = raw / raw.sum(axis=2, keepdims=True)
    metric = resolve_metric("log_loss", "multiclass")
    first, second = (blend(predictions, target, metric, seed=3) for _ in range(2))
    assert (first.weights == second.weights).all()
    alone = min(metric.loss(target, p) for p in predictions)
    assert metric.loss(target, np.tensordot(first.weights, predictions, axes=1)) <= alone + 1e-9


@pytest.mark.parametrize("name", ["auc", "log_loss", "accuracy", "f1", "brier"])
def test_compact_forms_agree_with_the_metric(name):
    from autometa.tables.ensemble import _View

    rng = np.random.default_rng(2)
    target = rng.integers(0, 2, 300)
    weights = rng.random(300)
    p = rng.random((4, 300))
    predictions = np.stack([1 - p, p], axis=2)
    metric = resolve_metric(name, "binary")
    view = _View.of(predictions, target, metric, weights)
    for i in range(4):
        alone = np.eye(4)[i]
        assert view.measured(alone) == pytest.approx(metric.loss(target, predictions[i], weights))
        if name != "log_loss":
            assert view.single(i) == pytest.approx(metric.loss(target, predictions[i], weights))


def test_one_member_is_the_ensemble():
    found = blend(np.zeros((1, 5, 1)), np.ones(5), RMSE)
    assert found.weights.tolist() == [1.0]
    assert found.nested_loss == 1.0


def test_a_temperature_mends_overconfidence():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.2, 0.8, 3000)
    target = (rng.random(3000) < truth).astype(int)
    logit = 3 * np.log(truth / (1 - truth))
    p = 1 / (1 + np.exp(-logit))
    metric = resolve_metric("log_loss", "binary")
    both = np.stack([1 - p, p], axis=1)
    touch = find_touch(both, target, metric)
    assert 2.0 < touch.temperature < 4.0
    assert metric.loss(target, touch.apply(both)) < metric.loss(target, both)


def test_calibrated_probabilities_are_left_alone():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.95, 2000)
    target = (rng.random(2000) < p).astype(int)
    touch = find_touch(np.stack([1 - p, p], axis=1), target, resolve_metric("log_loss", "binary"))
    assert touch.temperature == pytest.approx(1.0, abs=0.12)


def test_where_every_row_is_right_overconfidence_is_not_rewarded():
    target = np.arange(300) % 3
    sure, surest = (np.where(np.eye(3)[target] > 0, p, (1 - p) / 2) for p in (0.98, 1 - 1e-9))
    metric = resolve_metric("log_loss", "multiclass")
    assert find_touch(sure, target, metric).temperature > 0.6
    weights = blend(np.stack([sure, surest]), target, metric).weights
    assert weights[0] > 0.3


def test_a_threshold_helps_f1_on_rare_classes_and_auc_needs_none():
    rng = np.random.default_rng(0)
    p = rng.beta(1, 8, 4000)
    target = (rng.random(4000) < p).astype(int)
    both = np.stack([1 - p, p], axis=1)
    f1 = resolve_metric("f1", "binary")
    touch = find_touch(both, target, f1)
    assert touch.threshold is not None
    assert touch.threshold < 0.4
    assert f1.loss(target, both, threshold=touch.threshold) < f1.loss(target, both)
    assert find_touch(both, target, resolve_metric("auc", "binary")) == Touch()


def test_on_few_rows_only_some_of_the_configs_found_by_their_scores_are_candidates():
    def record(number, algorithm, source):
        config = Space.load("tabular").complete({"algorithm": algorithm})
        return TrialRecord(number, config, source, 5)

    kinds = ["lightgbm", "linear", "catboost", "network"]
    found = [record(n, kinds[n % 4], "tpe") for n in range(40)]
    prior = [record(40 + n, "lightgbm", "portfolio: LightGBM") for n in range(10)]
    chosen = _few_siblings([*found, *prior])
    assert [r.number for r in chosen] == [*range(16), *range(40, 50)]  # the first four of each kind, and all others
    assert _few_siblings(found[::4]) == found[::4]  # one kind alone shares with nobody
