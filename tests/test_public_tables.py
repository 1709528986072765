"""Public tables of recorded tasks: small ones written here hold what is expected, and those of the data folder load."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from autometa.errors import ModelError
from autometa.parameters import Categorical, Float, Int
from autometa.records.collection import Collection
from autometa.records.reading import read_collections
from autometa.task import Task, Trial

NAN = math.nan


def write(folder, document, evaluations, configs=None):
    folder.mkdir(exist_ok=True)
    (folder / "space.json").write_text(json.dumps(document))
    evaluations.to_parquet(folder / "evaluations.parquet")
    if configs is not None:
        configs.to_parquet(folder / "configs.parquet")
    return folder


# Conditions, a fidelity, a cost and a metric to report; some evaluations diverged, some are not there

CONDITIONAL = {
    "name": "made/conditional",
    "kind": "made up",
    "objective": {"metric": "accuracy", "direction": "maximize", "report": "test_accuracy"},
    "fidelity": {"name": "epoch", "levels": [1, 3, 9], "max": 9},
    "cost": {"metric": "runtime", "unit": "s"},
    "hyperparameters": [
        {"name": "depth", "type": "int", "lower": 1, "upper": 8, "log": False,
         "active_if_all": [{"parent": "booster", "in": ["tree", "dart"]}]},
        {"name": "rate", "type": "float", "lower": 0.001, "upper": 0.1, "log": True},
        {"name": "booster", "type": "categorical", "choices": ["linear", "tree", "dart"]},
    ],
}  # fmt: skip
CONDITIONAL_CONFIGS = pd.DataFrame({
    "config_id": [10, 20, 30, 40],
    "depth": [NAN, 3, 8, 1],
    "rate": np.array([0.01, 0.05, 0.1, 0.001], np.float32),  # the third is above 0.1 by a hair
    "booster": ["linear", "tree", "dart", "tree"],
})  # fmt: skip
CONDITIONAL_EVALUATIONS = pd.DataFrame(
    [
        ("12", 20, 3, 0.5, 0.375, 2.0),
        ("007", 30, 9, 0.625, 0.5, 4.0),
        ("12", 10, 9, NAN, 0.25, NAN),
        ("007", 10, 9, math.inf, NAN, -0.5),
        ("12", 20, 9, 0.75, 0.875, 6.0),
        ("007", 20, 0, 0.125, 0.125, 0.0),  # before the first epoch
        ("007", 10, 1, 0.25, 0.25, 1.0),
    ],
    columns=["task_id", "config_id", "fidelity", "accuracy", "test_accuracy", "runtime"],
)
LINEAR = {"rate": float(f"{np.float32(0.01):.12g}"), "booster": "linear"}
TREE = {"rate": float(f"{np.float32(0.05):.12g}"), "booster": "tree", "depth": 3}
DART = {"rate": 0.1, "booster": "dart", "depth": 8}


@pytest.fixture
def conditional(tmp_path):
    return write(tmp_path / "conditional", CONDITIONAL, CONDITIONAL_EVALUATIONS, CONDITIONAL_CONFIGS)


def test_conditions_become_a_space_with_parents_first(conditional):
    collection = Collection.load(conditional)
    assert collection.space.parameters == (
        Float(name="rate", low=0.001, high=0.1, log=True, default=0.01),
        Categorical(name="booster", choices=("linear", "tree", "dart"), default="linear"),
        Int(name="depth", low=1, high=8, default=4, when=("booster", ("tree", "dart"))),
    )
    # What is inactive is absent, and a config that was never evaluated is none.
    assert collection.configs == (LINEAR, TREE, DART)


def test_trials_are_those_of_the_table(conditional):
    collection = Collection.load(conditional)
    trials = {
        "007": (
            Trial(DART, "complete", -0.625, seconds=4.0),
            Trial(LINEAR, "failed", seconds=0.0),
            Trial(LINEAR, "complete", -0.25, budget=0.111111, seconds=1.0),
        ),
        "12": (
            Trial(TREE, "complete", -0.5, budget=0.333333, seconds=2.0),
            Trial(LINEAR, "failed"),
            Trial(TREE, "complete", -0.75, seconds=6.0),
        ),
    }
    assert list(collection.tasks) == list(collection.names) == ["007", "12"]
    for name, expected in trials.items():
        # By their text, as NaN equals nothing.
        assert repr(collection.tasks[name]) == repr(Task(name, collection.space).observe(*expected))
    assert collection.tasks["12"].best == trials["12"][2]


def test_tables_of_the_full_budget(conditional):
    collection = Collection.load(conditional)
    np.testing.assert_array_equal(collection.full, [[NAN, NAN, -0.625], [NAN, -0.75, NAN]])
    assert collection.evaluated.tolist() == [[True, False, True], [True, True, False]]
    assert collection.shared.tolist() == [True, False, False]
    third = collection.table(collection.evaluations.seconds, 1 / 3)
    np.testing.assert_array_equal(third, [[NAN, NAN, NAN], [NAN, 2.0, NAN]])


def test_the_reported_metric_is_the_test_loss(conditional):
    collection = Collection.load(conditional)
    np.testing.assert_array_equal(collection.evaluations.test_loss, [-0.375, -0.5, -0.25, NAN, -0.875, -0.25])
    assert len(collection.evaluations) == 6


def test_the_card_names_datasets_and_families(conditional):
    card = Collection.load(conditional).card
    assert (card.name, card.space) == ("conditional", "made/conditional")
    assert [(d.name, d.family, d.metric) for d in card.datasets] == [("007", "7", "accuracy"), ("12", "12", "accuracy")]


# One list of hyperparameters per algorithm, with gaps and with numbers written as words; lower is better

BY_ALGORITHM = {
    "name": "made/cash",
    "kind": "made up",
    "objective": {"metric": "error", "direction": "minimize"},
    "fidelity": None,
    "cost": {"metric": "flops", "unit": "FLOPs"},
    "hyperparameters_by_algorithm": {
        "forest": {"trees": ["10", "500"], "depth": [5.0, 20.0], "features": ["log2", "sqrt"], "jobs": [1.0]},
        "bayes": {},
        "linear": {"C": ["0.5", "2.5"]},
    },
}
BY_ALGORITHM_CONFIGS = pd.DataFrame({
    "config_id": [0, 1, 2, 3, 4, 5],
    "algorithm": ["forest", "forest", "bayes", "linear", "linear", "forest"],
    "trees": ["10", "500", None, None, None, "10"],
    "depth": [5.0, NAN, NAN, NAN, NAN, 20.0],
    "features": ["sqrt", None, None, None, None, "log2"],
    "jobs": [1.0, 1.0, NAN, NAN, NAN, 1.0],
    "C": [None, None, None, "0.5", "2.5", None],
})  # fmt: skip
SHALLOW = {
    "algorithm": "forest", "forest.trees": 10, "forest.depth.set": "given", "forest.depth": 5,
    "forest.features": "sqrt",
}  # fmt: skip
UNLIMITED = {"algorithm": "forest", "forest.trees": 500, "forest.depth.set": "none", "forest.features": "none"}


@pytest.fixture
def by_algorithm(tmp_path):
    rows = [("b", 1, 0.25), ("a", 0, 0.5), ("a", 1, -math.inf), ("b", 2, 0.125), ("a", 3, NAN), ("a", 4, 0.75)]
    evaluations = pd.DataFrame(rows, columns=["task_id", "config_id", "error"]).assign(flops=1.0)
    evaluations["task_id"] = evaluations["task_id"].astype("category")
    last = pd.DataFrame({"task_id": ["a"], "config_id": [5], "error": [0.0], "flops": [2.0]})
    return write(tmp_path / "cash", BY_ALGORITHM, pd.concat([evaluations, last]), BY_ALGORITHM_CONFIGS)


def test_algorithms_become_branches(by_algorithm):
    forest, flag = ("algorithm", ("forest",)), ("forest.depth.set", ("given",))
    assert Collection.load(by_algorithm).space.parameters == (
        Categorical(name="algorithm", choices=("forest", "bayes", "linear"), default="forest"),
        Int(name="forest.trees", low=10, high=500, log=True, default=71, when=forest),
        Categorical(name="forest.depth.set", choices=("given", "none"), default="given", when=forest),
        Int(name="forest.depth", low=5, high=20, default=12, when=flag),
        Categorical(name="forest.features", choices=("log2", "sqrt", "none"), default="log2", when=forest),
        Float(name="linear.C", low=0.5, high=2.5, default=1.5, when=("algorithm", ("linear",))),
    )


def test_gaps_and_words_become_values(by_algorithm):
    collection = Collection.load(by_algorithm)
    assert collection.configs[:5] == (
        SHALLOW,
        UNLIMITED,
        {"algorithm": "bayes"},
        {"algorithm": "linear", "linear.C": 0.5},
        {"algorithm": "linear", "linear.C": 2.5},
    )
    for config in collection.configs:
        collection.space.check(config)
        assert collection.space.from_unit(collection.space.to_unit(config)) == config


def test_lower_is_better_stays_as_it_is(by_algorithm):
    collection = Collection.load(by_algorithm)
    assert [(t.state, t.loss) for t in collection.tasks["b"].history] == [("complete", 0.25), ("complete", 0.125)]
    a = collection.tasks["a"].history
    assert [t.state for t in a] == ["complete", "failed", "failed", "complete", "complete"]
    assert [t.loss for t in a if t.state == "complete"] == [0.5, 0.75, 0.0]
    # FLOPs are no seconds, and nothing is reported.
    assert np.isnan(collection.evaluations.seconds).all()
    assert np.isnan(collection.evaluations.test_loss).all()
    assert collection.shared.tolist() == [False, True, False, False, False, False]


# A full grid, its configs in the evaluations

GRID = {
    "name": "grid",
    "kind": "made up",
    "objective": {"metric": "mse", "direction": "minimize"},
    "fidelity": None,
    "cost": {"metric": "runtime", "unit": "seconds"},
    "hyperparameters": [
        {"name": "width", "type": "ordinal", "choices": [16, 64, 256], "numeric": True, "log": True},
        {"name": "dropout", "type": "ordinal", "choices": [0.6, 0.0, 0.3], "numeric": True, "log": False},
        {"name": "link", "type": "categorical", "choices": ["01", "001"]},
    ],
}
POINTS = [(width, dropout, link) for width in (16, 64, 256) for dropout in (0.0, 0.3, 0.6) for link in ("01", "001")]


def grid_evaluations(tasks=("b", "a")):
    rows = [(task, *p, 0.5 * i + j, 0.25 * i) for j, task in enumerate(tasks) for i, p in enumerate(POINTS)]
    return pd.DataFrame(rows, columns=["task_id", "width", "dropout", "link", "mse", "runtime"])


def test_a_grid_needs_no_list_of_configs(tmp_path):
    collection = Collection.load(write(tmp_path / "grid", GRID, grid_evaluations()))
    assert collection.space.parameters == (
        Int(name="width", low=16, high=256, log=True, default=64),
        Float(name="dropout", low=0.0, high=0.6, default=0.3),
        Categorical(name="link", choices=("01", "001"), default="01"),
    )
    assert collection.configs == tuple({"width": w, "dropout": d, "link": k} for w, d, k in POINTS)
    assert collection.shared.all()


def test_a_task_equals_the_one_that_observed_its_rows(tmp_path):
    collection = Collection.load(write(tmp_path / "grid", GRID, grid_evaluations()))
    assert list(collection.tasks) == ["a", "b"]
    for offset, name in enumerate(("b", "a")):
        trials = [
            Trial(config, "complete", 0.5 * i + offset, seconds=0.25 * i) for i, config in enumerate(collection.configs)
        ]
        assert collection.tasks[name] == Task(name, collection.space).observe(*trials)
        assert collection.tasks[name] is collection.tasks[name]
    np.testing.assert_array_equal(collection.full, 0.5 * np.arange(18) + np.array([[1.0], [0.0]]))
    assert collection.evaluated.all()


def test_tasks_may_have_other_points_of_the_grid(tmp_path):
    evaluations = grid_evaluations()
    evaluations = evaluations[(evaluations["task_id"] == "a") | (evaluations["width"] == 256)]
    collection = Collection.load(write(tmp_path / "grid", GRID, evaluations))
    assert len(collection.configs) == 18
    assert collection.evaluated.sum(axis=1).tolist() == [18, 6]
    assert [c["width"] for c, shared in zip(collection.configs, collection.shared, strict=True) if shared] == [256] * 6


def test_a_folder_may_hold_several(tmp_path, conditional, by_algorithm):
    assert [c.card.name for c in read_collections(tmp_path)] == ["cash", "conditional"]
    assert [c.card.name for c in read_collections(conditional)] == ["conditional"]


# What is no public table


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("evaluations.parquet", None, "holds evaluations.parquet and space.json"),
        ("evaluations.parquet", "no parquet", "is not a public table"),
        ("configs.parquet", "no parquet", "is not a public table"),
        ("space.json", "{", "is not a public table"),
        ("space.json", None, "has neither"),
        ("space.json", "{}", "lacks the column or entry 'name'"),
        ("space.json", CONDITIONAL | {"objective": {"metric": "auc", "direction": "maximize"}}, "entry 'auc'"),
        ("space.json", CONDITIONAL | {"cost": {"metric": "hours", "unit": "s"}}, "entry 'hours'"),
        ("space.json", {k: v for k, v in CONDITIONAL.items() if k != "fidelity"}, "entry 'fidelity'"),
        ("space.json", CONDITIONAL | {"hyperparameters": [{"name": "alpha", "type": "float"}]}, "entry 'lower'"),
        (
            "space.json",
            CONDITIONAL | {"hyperparameters": [{"name": "alpha", "type": "categorical", "choices": ["a"]}]},
            "entry 'alpha'",
        ),
        ("configs.parquet", None, "entry 'depth'"),
    ],
)
def test_damage_is_named(conditional, file, content, message):
    path = conditional / file
    if content is None:
        path.unlink()
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ModelError, match=message):
        Collection.load(conditional)


def test_a_missing_column_is_named(conditional):
    CONDITIONAL_EVALUATIONS.drop(columns="fidelity").to_parquet(conditional / "evaluations.parquet")
    with pytest.raises(ModelError, match="lacks the column or entry 'fidelity'"):
        Collection.load(conditional)


def test_no_folder_is_said(tmp_path):
    with pytest.raises(ModelError, match="nothing is no folder"):
        Collection.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("rate", [0.01, 0.05, 0.2, 0.001], r"'rate' must be in \[0.001, 0.1\]; got 0.2"),
        ("rate", [0.01, 0.05, math.nan, 0.001], r"'rate' must be in .*; got nan"),
        ("depth", [math.nan, math.nan, 8, 1], r"'depth' must be in \[1, 8\]; got nan"),
        ("booster", ["linear", "tree", "forest", "tree"], "'booster' must be one of .*; got 'forest'"),
        ("config_id", [10, 20, 31, 40], r"must list every config; it lacks \[30\]"),
    ],
)
def test_configs_must_fit_the_space(conditional, column, values, message):
    CONDITIONAL_CONFIGS.assign(**{column: values}).to_parquet(conditional / "configs.parquet")
    with pytest.raises(ModelError, match=message):
        Collection.load(conditional)


def test_files_must_fit_one_another(conditional):
    (conditional / "space.json").write_text("[1]")
    with pytest.raises(ModelError, match="must fit one another"):
        Collection.load(conditional)
    (conditional / "space.json").write_text(json.dumps(CONDITIONAL))
    CONDITIONAL_EVALUATIONS.assign(accuracy="high").to_parquet(conditional / "evaluations.parquet")
    with pytest.raises(ModelError, match="must fit one another: could not convert"):
        Collection.load(conditional)


def test_latency_is_no_cost_of_an_evaluation(conditional):
    cost = {"metric": "latency", "unit": "s"}
    (conditional / "space.json").write_text(json.dumps(CONDITIONAL | {"cost": cost}))
    CONDITIONAL_EVALUATIONS.rename(columns={"runtime": "latency"}).to_parquet(conditional / "evaluations.parquet")
    assert np.isnan(Collection.load(conditional).evaluations.seconds).all()


def test_a_word_that_says_none_is_a_gap(by_algorithm):
    configs = BY_ALGORITHM_CONFIGS.assign(features=["none", None, None, None, None, "log2"])
    configs["trees"] = ["10", "inf", None, None, None, "20"]
    configs.to_parquet(by_algorithm / "configs.parquet")
    collection = Collection.load(by_algorithm)
    assert collection.space["forest.features"].choices == ("log2", "none")
    assert collection.space["forest.trees"].choices == ("10", "20", "inf")


def test_a_task_with_failed_trials_equals_the_one_that_observed_them(conditional):
    collection = Collection.load(conditional)
    trials = (Trial(DART, "complete", -0.625, seconds=4.0), Trial(LINEAR, "failed", seconds=0.0))
    task = collection.tasks["007"]
    assert Task("007", collection.space).observe(*trials, task.history[2]) == task
