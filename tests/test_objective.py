"""One evaluation: deterministic, in time, and whole for hard tables."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from autometa.errors import InputError
from autometa.tables.learners import forests
from autometa.tables.metrics import resolve_metric
from autometa.tables.objective import evaluate
from tests.learning import ALGORITHMS, SMALL, SPACE, config, halves, table

ROOT = Path(__file__).parents[1]
KINDS = ("binary", "multiclass", "regression")


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch):
    monkeypatch.setattr(forests, "MOST_TREES", 30)
    monkeypatch.setattr(forests, "FEWEST_TREES", 30)


def evaluated(algorithm, given, *, rows=None, seed=0, metric=None, options=None, **limits):
    train, valid = rows or halves(given)
    chosen = config(algorithm, **(options or {}))
    return evaluate(chosen, given, train, valid, resolve_metric(metric, given.kind), seed=seed, **limits)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_learned_beats_a_constant(algorithm, kind):
    given = table(kind, rows=300)
    found = evaluated(algorithm, given, metric="rmse" if kind == "regression" else "log_loss")
    constant = given.target.std() if kind == "regression" else np.log(len(given.classes))
    assert found.loss < 0.85 * constant
    assert found.predictions.dtype == np.float32
    assert found.predictions.shape == (75, given.outputs)
    if kind != "regression":
        assert np.allclose(found.predictions.sum(axis=1), 1, atol=1e-5)
    assert found.seconds > 0
    assert not found.stopped_by_clock


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_twice_the_same_bit_for_bit_and_no_global_state_is_touched(algorithm):
    given = table("multiclass", weights=True)
    before = np.random.get_state()[1].copy(), torch.random.get_rng_state(), torch.get_num_threads()  # noqa: NPY002
    one, two = (evaluated(algorithm, given, seed=3) for _ in range(2))
    after = np.random.get_state()[1], torch.random.get_rng_state(), torch.get_num_threads()  # noqa: NPY002
    assert np.array_equal(one.predictions, two.predictions)
    assert one.curve == two.curve
    assert np.array_equal(before[0], after[0])
    assert torch.equal(before[1], after[1])
    assert before[2] == after[2]


@pytest.mark.parametrize("algorithm", ["extra_trees", "network"])
def test_another_seed_gives_another_model(algorithm):
    given = table()
    one, two = (evaluated(algorithm, given, seed=seed).predictions for seed in (0, 1))
    assert not np.array_equal(one, two)


@pytest.mark.parametrize("algorithm", ["lightgbm", "catboost", "xgboost", "network", "extra_trees"])
def test_training_stops_at_the_limit_with_what_it_has(algorithm):
    given = table("multiclass", rows=4000, numbers=30, classes=10)
    slow = {
        "lightgbm": {"lightgbm_learning_rate": 0.005},
        "catboost": {"catboost_learning_rate": 0.005},
        "xgboost": {"xgboost_learning_rate": 0.005},
        "network": {"network_width": 256, "network_learning_rate": 1e-4},
        "extra_trees": {"forest_max_features": 1.0},
    }[algorithm]
    evaluated(algorithm, table(rows=60))  # the import of the library is not the training's time
    started = time.monotonic()
    found = evaluated(algorithm, given, options=slow, seconds=0.3)
    assert time.monotonic() - started < 3
    assert found.stopped_by_clock
    assert np.isfinite(found.loss)


@pytest.mark.parametrize("algorithm", ["lightgbm", "catboost", "network"])
def test_the_best_round_is_kept(algorithm):
    found = evaluated(algorithm, table(rows=200), metric="log_loss")
    assert found.loss == pytest.approx(min(found.curve), rel=1e-3)


def test_a_budget_uses_a_share_of_every_class():
    given = table("multiclass", rows=400)
    full, part = (evaluated("nearest_neighbours", given, budget=budget).model for budget in (1.0, 0.25))
    assert len(full.learner.rows) == 300
    assert 75 <= len(part.learner.rows) <= 78


def test_class_weights_change_the_training_only():
    rng = np.random.default_rng(0)
    given = table(rows=400)
    rare = np.flatnonzero((given.target == 0) | (rng.random(400) < 0.15))
    given = given.take(rare)
    for algorithm in ("lightgbm", "network", "linear", "extra_trees", "catboost", "xgboost"):
        # A leaf of one row has no use for weights.
        leaf = {"forest_min_samples_leaf": 10} if algorithm == "extra_trees" else {}
        plain, balanced = (
            evaluated(algorithm, given, options={"class_weights": weights, **leaf}).predictions[:, 1].mean()
            for weights in ("none", "balanced")
        )
        assert balanced > plain, algorithm


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_sample_weights_count(algorithm):
    given = table("regression", rows=200, numbers=1, categories=0, gaps=False)
    wrong = np.arange(200) % 2 == 0
    target = np.where(wrong, 0.0, given.target)
    weights = np.where(wrong, 1e-6, 1.0)
    equal, weighted = (type(given)(given.features, target, (), w) for w in (None, weights))
    options = {"forest_min_samples_leaf": 10} if algorithm in ("extra_trees", "random_forest") else {}
    losses = [evaluated(algorithm, one, options=options).loss for one in (weighted, equal)]
    assert losses[0] < 0.6 * losses[1]


def hard_tables():
    """Names of hard tables, with the rows to fit and to validate on."""
    rng = np.random.default_rng(0)

    def changed(kind, change, **options):
        given = table(kind, **options)
        numbers = given.features.numbers.copy()
        change(numbers)
        features = type(given.features)(
            numbers,
            given.features.categories,
            given.features.cardinalities,
            given.features.number_names,
            given.features.category_names,
        )
        return type(given)(features, given.target, given.classes, given.weights)

    def missing(numbers):
        numbers[:, 1] = np.nan

    def constant_in_training(numbers):
        numbers[:90, 1] = 7
        numbers[90:, 1] = 1e6

    def huge(numbers):
        numbers *= 1e30
        numbers[::7, 0] = 3e38

    one_row = table("multiclass", rows=60)
    target = one_row.target.copy()
    target[0] = 3
    one_row = type(one_row)(one_row.features, target, ("a", "b", "c", "lonely"))
    absent = table("multiclass", rows=120, classes=4)
    without = np.flatnonzero(absent.target != 2)
    only = np.flatnonzero(absent.target == 2)
    still = table("regression", rows=120)
    same = still.target.copy()
    same[:90] = 5.0
    some = rng.permutation(120)
    nothing = table(rows=80, numbers=1, categories=0, gaps=False)
    nothing.features.numbers[:] = 4
    enormous = table("regression", rows=120)
    return {
        "all missing column": (changed("binary", missing), None),
        "constant after the split": (changed("regression", constant_in_training), None),
        "huge values": (changed("binary", huge), None),
        "huge target": (type(enormous)(enormous.features, enormous.target * 1e30), None),
        "class of one row": (one_row, (np.arange(1, 45), np.append(np.arange(45, 60), 0))),
        "class of one row in training": (one_row, (np.arange(45), np.arange(45, 60))),
        "fold without a class": (absent, (without[:70], np.append(without[70:], only[:5]))),
        "validation of an absent class only": (absent, (without, only)),
        "constant target in training": (type(still)(still.features, same), None),
        "single class in training": (absent, (np.flatnonzero(absent.target == 1), some[:40])),
        "one number": (table(rows=80, numbers=1, categories=0), None),
        "categories only": (table("multiclass", rows=90, numbers=0, categories=3), None),
        "wide": (table(rows=60, numbers=200, categories=0), None),
        "no usable column": (nothing, None),
        "weights": (table("multiclass", weights=True), None),
        "one row to fit on": (table(rows=40), (np.array([3]), np.arange(10, 40))),
        "three rows to fit on": (table("regression", rows=40), (np.array([3, 4, 5]), np.arange(10, 40))),
        "one row to validate on": (table("regression", rows=40), (np.arange(10, 40), np.array([3]))),
    }


HARD = hard_tables()


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_hard_tables_are_learned_and_predicted(algorithm, name, tmp_path):
    given, rows = HARD[name]
    found = evaluated(algorithm, given, rows=rows)
    assert np.isfinite(found.predictions).all()
    if given.classes:
        assert np.allclose(found.predictions.sum(axis=1), 1, atol=1e-4)
        trained = np.unique(given.target[(rows or halves(given))[0]])
        absent = np.setdiff1d(np.arange(given.outputs), trained)
        assert (found.predictions[:, absent] == 0).all()
    found.model.save(tmp_path / "model")
    restored = type(found.model).load(tmp_path / "model")
    valid = (rows or halves(given))[1]
    assert np.array_equal(restored.predict(given.features.take(valid)), found.predictions)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_any_config_comes_back_as_it_was_saved(algorithm, kind, tmp_path):
    given, (_, valid) = table(kind), halves(table(kind))
    space = SPACE.restrict({"algorithm": {"choices": [algorithm]}})
    rng = np.random.default_rng(7)
    for number in range(6):
        drawn = {name: value for name, value in space.sample(rng).items() if name not in {"algorithm", *SMALL}}
        if kind == "regression":
            drawn.pop("class_weights", None)
        found = evaluated(algorithm, given, options=drawn, seconds=0.5)
        found.model.save(tmp_path / str(number))
        restored = type(found.model).load(tmp_path / str(number))
        assert np.array_equal(restored.predict(given.features.take(valid)), found.predictions), drawn


def test_missing_and_unseen_values_are_predicted():
    given = table(rows=100, gaps=False)
    train, _ = halves(given)
    unseen = given.features.take(np.arange(3))
    unseen.numbers[:] = np.nan
    unseen.categories[:] = -1
    for algorithm in ALGORITHMS:
        model = evaluated(algorithm, given, rows=(train, train)).model
        assert np.isfinite(model.predict(unseen)).all(), algorithm
        assert model.predict(unseen.take(np.arange(0))).shape == (0, 2), algorithm


def test_rows_and_budget_are_checked():
    given = table()
    with pytest.raises(InputError, match="rows to fit"):
        evaluated("linear", given, rows=(np.arange(0), np.arange(5)))
    with pytest.raises(InputError, match="budget"):
        evaluated("linear", given, budget=0.0)
    with pytest.raises(InputError, match="algorithm must be one of"):
        evaluate(
            {**config("linear"), "algorithm": "magic"},
            given,
            *halves(given),
            resolve_metric(None, "binary"),
            seed=0,
        )


def test_a_library_is_imported_when_its_learner_is_asked_for():
    code = (
        "import sys, autometa.tables.objective; "
        "print(sorted({'torch', 'lightgbm', 'catboost', 'xgboost', 'sklearn'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
