"""Learners against the libraries and formulas that they stand for."""

import builtins

import numpy as np
import pytest
from sklearn import ensemble, linear_model, neighbors

from autometa.errors import MissingExtraError
from autometa.tables.learners import fit_learner, forests
from autometa.tables.learners.boosting import EarlyStop, patience
from autometa.tables.learners.contract import Job, Part
from autometa.tables.learners.tree_arrays import Forest, TreeArrays
from autometa.tables.preprocess import Preprocessor
from tests.learning import config, halves, table


def job_for(algorithm, kind="binary", *, rows=200, weights=False, options=None, **given):
    of = table(kind, rows=rows, gaps=False, weights=weights, **given)
    train, valid = halves(of)
    chosen = config(algorithm, **(options or {}))
    target = of.target if of.classes else (of.target - of.target.mean()) / of.target.std()
    fitted, design = Preprocessor.fit(of.features.take(train), target[train], chosen, kind, seed=0)
    parts = [
        Part(shown, target[rows], None if of.weights is None else of.weights[rows])
        for shown, rows in ((design, train), (fitted.transform(of.features.take(valid)), valid))
    ]
    return Job(chosen, kind, of.outputs, *parts, seed=0)


# Forests


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("family", [ensemble.ExtraTreesClassifier, ensemble.RandomForestClassifier])
def test_trees_as_arrays_predict_what_scikit_learn_predicts(kind, family):
    job = job_for("extra_trees", kind)
    if kind == "regression":
        family = {
            ensemble.ExtraTreesClassifier: ensemble.ExtraTreesRegressor,
            ensemble.RandomForestClassifier: ensemble.RandomForestRegressor,
        }[family]
    model = family(20, random_state=0).fit(job.train.design.numbers, job.train.target)
    trees = [TreeArrays.of(tree.tree_, classes=kind != "regression") for tree in model.estimators_]
    prior = np.full(job.outputs, 1 / job.outputs)
    forest = Forest.joined(trees, width=job.train.design.width, prior=prior, classes=kind != "regression")
    shown = job.valid.design.numbers
    if kind == "regression":
        assert np.allclose(forest.predict(job.valid.design)[:, 0], model.predict(shown), atol=1e-5)
    else:
        # One voter more, who only knows the prior.
        expected = (20 * model.predict_proba(shown) + prior) / 21
        assert np.allclose(forest.predict(job.valid.design), expected, atol=1e-6)


def test_thresholds_as_float32_send_float32_inputs_the_same_way():
    rng = np.random.default_rng(0)
    x = (1 + rng.integers(0, 50, (400, 1)) * np.finfo(np.float32).eps).astype(np.float32)
    model = ensemble.ExtraTreesRegressor(5, random_state=0).fit(x, rng.standard_normal(400))
    forest = Forest.joined(
        [TreeArrays.of(tree.tree_, classes=False) for tree in model.estimators_],
        width=1,
        prior=np.zeros(1),
        classes=False,
    )
    job = job_for("extra_trees", "regression", numbers=1, categories=0)
    design = type(job.train.design)(x, np.empty((400, 0), np.int32), (), 1)
    assert np.allclose(forest.predict(design)[:, 0], model.predict(x), atol=1e-6)


def test_fewer_trees_are_grown_on_more_rows():
    counts = [forests.tree_count(rows) for rows in (100, 2000, 10_000, 1_000_000)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == forests.MOST_TREES
    assert counts[-1] == forests.FEWEST_TREES


# Linear


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
@pytest.mark.parametrize("weights", [False, True])
def test_the_ridge_agrees_with_scikit_learn(kind, weights):
    job = job_for("linear", kind, weights=weights, options={"linear_C": 0.5})
    # Two classes have two vectors that share the penalty; scikit-learn's one is their difference.
    model = linear_model.LogisticRegression(C=1.0 if kind == "binary" else 0.5, tol=1e-5, max_iter=1000)
    model.fit(job.train.design.numbers.astype(float), job.train.target, sample_weight=job.train.weights)
    expected = model.predict_proba(job.valid.design.numbers)
    assert np.allclose(fit_learner(job).learner.predict(job.valid.design), expected, atol=2e-3)


def test_the_linear_regression_agrees_with_scikit_learn():
    job = job_for("linear", "regression", options={"linear_C": 0.5})
    model = linear_model.Ridge(alpha=2.0).fit(job.train.design.numbers, job.train.target)
    found = fit_learner(job).learner.predict(job.valid.design)[:, 0]
    assert np.allclose(found, model.predict(job.valid.design.numbers), atol=1e-3)


def test_the_lasso_agrees_with_scikit_learn():
    job = job_for("linear", "regression", options={"linear_C": 0.05, "linear_l1_ratio": 1.0})
    model = linear_model.Lasso(alpha=1 / (0.05 * len(job.train))).fit(job.train.design.numbers, job.train.target)
    learner = fit_learner(job).learner
    assert np.allclose(learner.weights[:, 0], model.coef_, atol=2e-3)
    assert (learner.weights == 0).any()


# Neighbours


@pytest.mark.parametrize("power", [1, 2])
def test_neighbours_vote_as_scikit_learns_do(power):
    options = {"neighbours_k": 7, "neighbours_weights": "uniform", "neighbours_p": power}
    job = job_for("nearest_neighbours", options=options)
    model = neighbors.KNeighborsClassifier(7, p=power).fit(job.train.design.numbers, job.train.target)
    prior = np.bincount(job.train.target) / len(job.train)
    expected = (7 * model.predict_proba(job.valid.design.numbers) + prior) / 8
    assert np.allclose(fit_learner(job).learner.predict(job.valid.design), expected, atol=1e-5)


def test_a_row_at_no_distance_outweighs_the_others():
    job = job_for("nearest_neighbours", "regression", options={"neighbours_k": 5})
    found = fit_learner(job).learner.predict(job.train.design)[:, 0]
    assert np.abs(found - job.train.target).max() < 0.1


# Boosters


def test_boosting_ends_when_a_patience_gains_next_to_nothing():
    job = job_for("lightgbm")
    stop = EarlyStop(3, job)
    losses = [1.0, 0.5, 0.4999, 0.4998, 0.4997, 0.1]
    ended = next(i for i, loss in enumerate(losses) if stop.after(loss))
    assert ended == 4
    assert stop.best_rounds == 5
    assert len(stop.curve) == 5


def test_smaller_steps_wait_longer():
    assert [patience(rate) for rate in (0.2, 0.05, 0.005)] == [20, 40, 60]


@pytest.mark.parametrize("algorithm", ["lightgbm", "catboost", "xgboost"])
def test_boosters_find_the_signal_of_a_category(algorithm):
    job = job_for(algorithm, "multiclass", rows=400, numbers=1, categories=1)
    found = fit_learner(job).learner.predict(job.valid.design)
    assert (found.argmax(axis=1) == job.valid.target).mean() > 0.6


@pytest.mark.parametrize("policy", ["SymmetricTree", "Depthwise"])
@pytest.mark.parametrize("subsample", [0.7, 1.0])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_catboost_takes_every_mix_of_its_options(policy, subsample, kind):
    options = {"catboost_grow_policy": policy, "catboost_subsample": subsample, "catboost_depth": 3}
    job = job_for("catboost", kind, rows=100, options=options)
    assert np.isfinite(fit_learner(job).learner.predict(job.valid.design)).all()


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "xgboost":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"autometa\[xgboost\]"):
        fit_learner(job_for("xgboost"))
