"""Metrics agree with scikit-learn's, and their losses with their directions."""

import numpy as np
import pytest
from sklearn import metrics as sk

from autometa.errors import InputError
from autometa.tables.metrics import DEFAULTS, resolve_metric


def classes(count, *, rows=400, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, count, rows)
    shares = rng.dirichlet(np.ones(count), rows) + 0.6 * np.eye(count)[target]
    shares /= shares.sum(axis=1, keepdims=True)
    if ties:
        shares = np.round(shares, 1)
        shares /= shares.sum(axis=1, keepdims=True)
    return target, shares.astype(np.float32), rng.random(rows) + 0.1


def values(*, rows=400, seed=0):
    rng = np.random.default_rng(seed)
    target = rng.gamma(2.0, 3.0, rows)
    return target, (target + rng.standard_normal(rows))[:, None].astype(np.float32), rng.random(rows) + 0.1


def own_value(name, kind, target, predictions, weights=None):
    metric = resolve_metric(name, kind)
    return metric.score_of(metric.loss(target, predictions, weights))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_two_classes_agree_with_scikit_learn(ties, weighted):
    target, shares, rng_weights = classes(2, ties=ties)
    w = rng_weights if weighted else None
    label, one = shares.argmax(axis=1), shares[:, 1]
    expected = {
        "auc": sk.roc_auc_score(target, one, sample_weight=w),
        "log_loss": sk.log_loss(target, shares, sample_weight=w),
        "brier": sk.brier_score_loss(target, one, sample_weight=w),
        "accuracy": sk.accuracy_score(target, label, sample_weight=w),
        "balanced_accuracy": sk.balanced_accuracy_score(target, label, sample_weight=w),
        "f1": sk.f1_score(target, label, sample_weight=w),
    }
    for name, value in expected.items():
        assert own_value(name, "binary", target, shares, w) == pytest.approx(value, abs=1e-6), name


@pytest.mark.parametrize("weighted", [False, True])
def test_many_classes_agree_with_scikit_learn(weighted):
    target, shares, rng_weights = classes(5)
    w = rng_weights if weighted else None
    label = shares.argmax(axis=1)
    exact = shares.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    areas = [sk.roc_auc_score(target == i, shares[:, i], sample_weight=w) for i in range(5)]
    expected = {
        "auc": np.mean(areas),
        "log_loss": sk.log_loss(target, exact, sample_weight=w),
        "brier": sk.brier_score_loss(target, exact, sample_weight=w),
        "accuracy": sk.accuracy_score(target, label, sample_weight=w),
        "balanced_accuracy": sk.balanced_accuracy_score(target, label, sample_weight=w),
        "f1": sk.f1_score(target, label, average="macro", sample_weight=w),
    }
    for name, value in expected.items():
        assert own_value(name, "multiclass", target, shares, w) == pytest.approx(value, abs=1e-6), name


@pytest.mark.parametrize("weighted", [False, True])
def test_values_agree_with_scikit_learn(weighted):
    target, predicted, rng_weights = values()
    w = rng_weights if weighted else None
    shown = predicted[:, 0].astype(np.float64)
    expected = {
        "rmse": sk.root_mean_squared_error(target, shown, sample_weight=w),
        "mae": sk.mean_absolute_error(target, shown, sample_weight=w),
        "r2": sk.r2_score(target, shown, sample_weight=w),
        "mape": sk.mean_absolute_percentage_error(target, shown, sample_weight=w),
        "rmsle": sk.root_mean_squared_log_error(target, np.maximum(shown, 0), sample_weight=w),
    }
    for name, value in expected.items():
        assert own_value(name, "regression", target, predicted, w) == pytest.approx(value, rel=1e-6), name


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_defaults_exist_and_a_perfect_prediction_has_the_least_loss(kind):
    metric = resolve_metric(None, kind)
    assert metric.name == DEFAULTS[kind]
    if kind == "regression":
        target, noisy, _ = values()
        perfect = target[:, None]
    else:
        target, noisy, _ = classes(2 if kind == "binary" else 4)
        perfect = np.eye(noisy.shape[1], dtype=np.float32)[target]
    assert metric.loss(target, perfect) == pytest.approx(0.0, abs=1e-6)
    assert metric.loss(target, noisy) > 0.01


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("roc_auc", "binary"),
        ("average_precision", "binary"),
        ("neg_log_loss", "binary"),
        ("matthews_corrcoef", "multiclass"),
        ("roc_auc_ovr_weighted", "multiclass"),
        ("top_k_accuracy", "multiclass"),
        ("recall_macro", "multiclass"),
        ("neg_mean_absolute_error", "regression"),
        ("explained_variance", "regression"),
        ("neg_median_absolute_error", "regression"),
    ],
)
def test_scorers_of_scikit_learn_are_accepted_by_name(name, kind):
    target, predictions, _ = values() if kind == "regression" else classes(2 if kind == "binary" else 4)
    scorer = sk.get_scorer(name)

    class Model:
        classes_ = np.arange(predictions.shape[1])
        _estimator_type = "regressor" if kind == "regression" else "classifier"

        def fit(self):
            raise NotImplementedError

        def __sklearn_tags__(self):
            from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

            mixin = RegressorMixin if kind == "regression" else ClassifierMixin
            return type("Tagged", (mixin, BaseEstimator), {})().__sklearn_tags__()

        def predict_proba(self, X):
            exact = predictions.astype(np.float64)
            return exact / exact.sum(axis=1, keepdims=True)

        def predict(self, X):
            return predictions[:, 0].astype(np.float64) if kind == "regression" else predictions.argmax(axis=1)

    expected = scorer(Model(), np.zeros((len(target), 1)), target)
    assert own_value(name, kind, target, predictions) == pytest.approx(expected, rel=1e-6)


def test_unknown_names_say_the_nearest():
    with pytest.raises(InputError, match="accuracy"):
        resolve_metric("acuracy", "binary")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("rmse", "binary"),
        ("auc", "regression"),
        ("r2", "multiclass"),
        ("neg_mean_squared_error", "multiclass"),
        ("precision", "multiclass"),
        ("v_measure_score", "regression"),
        ("roc_auc", "regression"),
    ],
)
def test_a_metric_of_another_kind_is_refused(name, kind):
    with pytest.raises(InputError, match="must fit the task"):
        resolve_metric(name, kind)


def test_undefined_is_nan():
    one_class = np.zeros(5, np.int64)
    shares = np.full((5, 2), 0.5, np.float32)
    assert np.isnan(resolve_metric("auc", "binary").loss(one_class, shares))
    assert np.isnan(resolve_metric("roc_auc", "binary").loss(one_class, shares))
    assert np.isnan(resolve_metric("r2", "regression").loss(np.ones(5), np.ones((5, 1))))
    assert np.isnan(resolve_metric("rmse", "regression").loss(np.ones(0), np.ones((0, 1))))
    assert np.isnan(resolve_metric("rmsle", "regression").loss(-np.ones(5), np.ones((5, 1))))


def test_a_probability_of_zero_costs_much_and_stays_finite():
    shares = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    loss = resolve_metric("log_loss", "binary").loss(np.array([1, 1]), shares)
    assert 5 < loss < 50


def test_the_threshold_moves_the_label():
    target = np.array([0, 1, 1])
    shares = np.array([[0.9, 0.1], [0.7, 0.3], [0.6, 0.4]], np.float32)
    accuracy = resolve_metric("accuracy", "binary")
    assert accuracy.loss(target, shares) == pytest.approx(2 / 3)
    assert accuracy.loss(target, shares, threshold=0.25) == 0.0


@pytest.mark.parametrize("name", ["rmse", "mae", "r2", "mape"])
def test_without_any_weight_a_metric_is_undefined(name):
    target, predicted, _ = values()
    assert np.isnan(own_value(name, "regression", target, predicted, np.zeros(len(target))))
