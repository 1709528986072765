"""Runs of an OpenML flow become a collection: the space of what was tried, one loss per config and task."""

import inspect
import math
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from autometa.errors import InputError, MissingExtraError, ModelError
from autometa.parameters import Categorical, Float, Int
from autometa.records.openml_runs import collection_of, read_openml_runs
from autometa.task import Task, Trial

OWNER = "sklearn.pipeline.Pipeline(imputer=sklearn.impute.SimpleImputer,model=sklearn.svm.SVC)(3)"
SETUPS = {
    1: {"C": "1.0", "gamma": "0.001", "kernel": '"rbf"', "degree": "3", "max_iter": "-1", "random_state": "5"},
    2: {"C": "0.50", "gamma": "10", "kernel": '"poly"', "degree": "5", "max_iter": "-1", "random_state": "5"},
    3: {"C": "4", "gamma": "null", "kernel": "None", "degree": "4.0", "max_iter": "-1", "random_state": "5"},
    4: {"C": "1", "gamma": "1e-3", "kernel": '"rbf"', "degree": "3", "max_iter": "-1", "random_state": "6"},
}
# run, task, setup, value: setups 1 and 4 are one config but for the seed
RUNS = [
    (14, 31, 1, 0.75),
    (11, 31, 2, 0.5),
    (12, 31, 3, None),
    (13, 7, 1, 0.25),
    (15, 31, 4, 0.25),
    (16, 7, 2, math.inf),
]


def frame_of(runs=RUNS, setups=None, flow=60):
    setups = setups or {k: {f"{OWNER}_{n}": v for n, v in s.items()} for k, s in SETUPS.items()}
    return pd.DataFrame([
        {"run_id": run, "task_id": task, "setup_id": setup, "flow_id": flow, "flow_name": OWNER, "data_id": 100 + task,
         "data_name": f"data{task}", "function": "kappa", "upload_time": "2019-04-06 23:46:42", "uploader": 1,
         "uploader_name": "someone", "value": value, "values": None, "array_data": None, "parameters": setups[setup]}
        for run, task, setup, value in runs
    ])  # fmt: skip


@pytest.fixture
def collection():
    return collection_of(frame_of(), metric="kappa")


def test_the_space_is_what_was_tried(collection):
    given = ("gamma.set", ("given",))
    assert collection.space.parameters == (
        Float(name="C", low=0.5, high=4.0, default=2.25),
        Categorical(name="gamma.set", choices=("given", "none"), default="given"),
        Float(name="gamma", low=0.001, high=10.0, log=True, default=0.1, when=given),
        Categorical(name="kernel", choices=("poly", "rbf", "none"), default="poly"),
        Int(name="degree", low=3, high=5, default=4),
    )


def test_setups_that_differ_in_the_seed_are_one_config(collection):
    assert collection.configs == (
        {"C": 0.5, "gamma.set": "given", "gamma": 10.0, "kernel": "poly", "degree": 5},
        {"C": 4.0, "gamma.set": "none", "kernel": "none", "degree": 4},
        {"C": 1.0, "gamma.set": "given", "gamma": 0.001, "kernel": "rbf", "degree": 3},
    )
    for config in collection.configs:
        collection.space.check(config)
        assert collection.space.from_unit(collection.space.to_unit(config)) == config


def test_a_seed_may_count_as_a_hyperparameter():
    collection = collection_of(frame_of(), metric="kappa", leave_out=())
    assert collection.space["random_state"] == Int(name="random_state", low=5, high=6, default=6)
    assert len(collection.configs) == 4


def test_trials_stand_in_the_order_of_the_runs(collection):
    first, second, third = collection.configs
    assert collection.names == ("7", "31")
    expected = Task("31", collection.space).observe(
        Trial(first, "complete", -0.5), Trial(second, "failed"), Trial(third, "complete", -0.5)
    )
    assert repr(collection.tasks["31"]) == repr(expected)  # NaN equals nothing
    assert [(t.config, t.state) for t in collection.tasks["7"].history] == [(third, "complete"), (first, "failed")]
    np.testing.assert_array_equal(collection.shared, [True, False, True])


def test_the_card_says_which_datasets_they_are_on(collection):
    assert [(d.name, d.family, d.origin, d.metric) for d in collection.card.datasets] == [
        ("7", "107", "OpenML task 7, dataset 107", "kappa"),
        ("31", "131", "OpenML task 31, dataset 131", "kappa"),
    ]
    assert collection.card.name == collection.card.space == "openml-flow-60"


def test_the_mean_is_of_the_runs_with_a_value():
    runs = [(1, 7, 1, 0.5), (2, 7, 4, None), (3, 7, 4, 0.25), (4, 7, 2, 0.5)]
    assert [t.loss for t in collection_of(frame_of(runs), metric="kappa").tasks["7"].history] == [-0.375, -0.5]


@pytest.mark.parametrize(
    ("metric", "direction", "sign"),
    [
        ("predictive_accuracy", None, -1),
        ("area_under_roc_curve", None, -1),
        ("mean_absolute_error", None, 1),
        ("root_mean_squared_error", None, 1),
        ("mean_class_complexity", None, 1),
        ("brier", "minimize", 1),
        ("brier", "maximize", -1),
        ("predictive_accuracy", "minimize", 1),
    ],
)
def test_metrics_point_their_way(metric, direction, sign):
    collection = collection_of(frame_of(), metric=metric, direction=direction)
    assert collection.tasks["7"].history[0].loss == sign * 0.25


def test_an_unknown_metric_needs_a_direction():
    with pytest.raises(InputError, match="give the direction of 'brier'"):
        collection_of(frame_of(), metric="brier")


@pytest.mark.parametrize("prefix", ["", "60_", "weka.J48(1)_", f"{OWNER}_"])
def test_names_may_carry_their_flow(prefix):
    setups = {1: {f"{prefix}min_leaf": "1", f"{prefix}num.trees": "10"}, 2: {f"{prefix}min_leaf": "2"}}
    space = collection_of(frame_of([(1, 7, 1, 0.5), (2, 7, 2, 0.5)], setups), metric="kappa").space
    assert [p.name for p in space] == ["min_leaf", "num.trees.set", "num.trees"]


def test_parts_of_a_flow_keep_their_names_apart():
    setups = {i: {"a.Tree(1)_depth": str(i), "b.Tree(2)_depth": "7", "b.Tree(2)_C": str(i)} for i in (1, 2)}
    setups[2]["b.Tree(2)_depth"] = "8"
    space = collection_of(frame_of([(1, 7, 1, 0.5), (2, 7, 2, 0.5)], setups), metric="kappa").space
    assert [p.name for p in space] == ["a.Tree(1)_depth", "b.Tree(2)_depth", "C"]


def test_odd_values_and_names_are_read():
    setups = {
        1: {"algorithm": "SAMME", "depth": "NaN", "leaf": "auto", "flag": "TRUE", "eps": "inf", "l1": 1},
        2: {"algorithm": "SAMME.R", "depth": "7", "leaf": "5", "flag": None, "eps": "0.5", "l1": 2.5},
        3: {"algorithm": "SAMME", "depth": "3", "leaf": "none", "flag": "", "eps": "0.25", "l1": "3"},
    }
    collection = collection_of(frame_of([(i, 7, i, 0.5) for i in (1, 2, 3)], setups), metric="kappa")
    assert collection.configs == (
        {"algorithm": "SAMME", "depth.set": "none", "leaf": "auto", "flag": "TRUE", "eps.set": "none", "l1": 1.0},
        {"algorithm": "SAMME.R", "depth.set": "given", "depth": 7, "leaf": "5", "flag": "none", "eps.set": "given",
         "eps": 0.5, "l1": 2.5},
        {"algorithm": "SAMME", "depth.set": "given", "depth": 3, "leaf": "none", "flag": "none", "eps.set": "given",
         "eps": 0.25, "l1": 3.0},
    )  # fmt: skip


def test_a_setup_without_parameters_gives_none():
    setups = {1: math.nan, 2: {"C": "1"}, 3: {"C": "2"}}
    collection = collection_of(frame_of([(i, 7, i, 0.5) for i in (1, 2, 3)], setups), metric="kappa")
    assert collection.configs == ({"C.set": "none"}, {"C.set": "given", "C": 1}, {"C.set": "given", "C": 2})


def test_what_makes_no_collection_is_refused():
    with pytest.raises(ModelError, match="it lacks setup_id, value"):
        collection_of(frame_of().drop(columns=["value", "setup_id"]), metric="kappa")
    with pytest.raises(ModelError, match=r"of the flows \[60, 61\]: take one at a time"):
        collection_of(pd.concat([frame_of(), frame_of(flow=61)]), metric="kappa")
    with pytest.raises(ModelError, match="openml-flow-60 must differ in a hyperparameter; all 2 setups are alike"):
        collection_of(frame_of([(1, 7, 1, 0.5), (2, 7, 4, 0.5)]), metric="kappa")


class Client:
    """Answers as the package does, and remembers what it was asked."""

    def __init__(self, frame):
        self.frame, self.asked = frame, None
        self.evaluations = SimpleNamespace(list_evaluations_setups=self.answer)

    def answer(self, **asked):
        self.asked = asked
        return self.frame


def test_runs_are_fetched_by_flow_task_and_metric(collection):
    client = Client(frame_of())
    found = read_openml_runs(task_ids=(31, 7), flow_id=60, metric="kappa", client=client)
    assert client.asked == {"function": "kappa", "flows": [60], "tasks": [31, 7], "output_format": "dataframe"}
    assert (found.space, found.configs, found.card) == (collection.space, collection.configs, collection.card)
    assert repr(found.tasks["31"]) == repr(collection.tasks["31"])


def test_no_runs_is_said():
    with pytest.raises(InputError, match=r"flow 60 has none with 'predictive_accuracy' on \[31\]"):
        read_openml_runs(task_ids=[31], flow_id=60, client=Client(pd.DataFrame()))


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "openml", None)
    with pytest.raises(MissingExtraError, match=r"install autometa\[openml\]"):
        read_openml_runs(task_ids=[31], flow_id=60)


def test_the_package_takes_what_it_is_asked():
    openml = pytest.importorskip("openml", reason="the extra openml is not installed")
    takes = inspect.signature(openml.evaluations.list_evaluations_setups)
    takes.bind(function="kappa", flows=[60], tasks=[31], output_format="dataframe")
