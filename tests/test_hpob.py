"""HPO-B's json becomes collections: configs shared, accuracies negated, each dataset in its split."""

import json
import math

import numpy as np
import pytest

from autometa.errors import InputError, ModelError
from autometa.parameters import Categorical, Float, Int
from autometa.records.hpob import read_hpob
from autometa.space import Space
from autometa.task import Task, Trial

# Two search spaces; in the first one a row is in both datasets, and the second dataset repeats one of its own.
TRAIN = {
    "5971": {
        "43": {"X": [[0.0, 0.5, 1.0], [0.25, 0.125, 0.0]], "y": [[0.75], [0.5]]},
        "3954": {"X": [[1.0, 1.0, 1.0], [0.25, 0.125, 0.0], [1.0, 1.0, 1.0]], "y": [[0.25], [0.625], [0.875]]},
    },
    "4796": {"43": {"X": [[0.1], [0.2]], "y": [[0.5], [0.25]]}},
}


def write(path, document):
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


@pytest.fixture
def train(tmp_path):
    return write(tmp_path / "meta-train-dataset.json", TRAIN)


def test_each_search_space_becomes_a_collection(train):
    first, second = read_hpob(train)
    assert (first.card.name, second.card.name) == ("hpob-5971", "hpob-4796")
    assert [(p.name, p.low, p.high, p.log) for p in first.space] == [(f"x{i}", 0.0, 1.0, False) for i in range(3)]
    assert (first.names, len(second.space)) == (("43", "3954"), 1)
    assert first.splits == {"train": ["43", "3954"]}


def test_tasks_hold_the_trials_of_the_file(train):
    first, _ = read_hpob(train)
    task = first.tasks["43"]
    expected = [({"x0": 0.0, "x1": 0.5, "x2": 1.0}, -0.75), ({"x0": 0.25, "x1": 0.125, "x2": 0.0}, -0.5)]
    assert [(t.config, t.loss) for t in task.history] == expected
    assert {(t.state, t.budget) for t in task.history} == {("complete", 1.0)}
    again = Task("43", first.space).observe(*(Trial(config, "complete", loss) for config, loss in expected))
    assert repr(task) == repr(again)  # seconds are NaN, which equals nothing


def test_equal_rows_are_one_config(train):
    first, _ = read_hpob(train)
    assert len(first.configs) == 3
    assert first.shared.tolist() == [False, True, False]
    nan = math.nan
    # Of the repeated row the first evaluation counts, and both are kept.
    np.testing.assert_array_equal(first.full, [[-0.75, -0.5, nan], [nan, -0.625, -0.25]])
    assert [t.loss for t in first.tasks["3954"].history] == [-0.25, -0.625, -0.875]


def test_many_rows_are_told_apart(tmp_path):
    rng = np.random.default_rng(0)
    pool = rng.random((500, 4))
    X = {name: pool[rng.integers(0, 500, 700)] for name in ("1", "2", "3")}
    document = {"9": {name: {"X": rows.tolist(), "y": rows[:, :1].tolist()} for name, rows in X.items()}}
    (collection,) = read_hpob(write(tmp_path / "some.json", document))
    assert len(collection.configs) == len(np.unique(np.concatenate(list(X.values())), axis=0))
    for name, rows in X.items():
        found = [list(t.config.values()) for t in collection.tasks[name].history]
        np.testing.assert_allclose(found, rows, atol=1e-12)
        assert [-t.loss for t in collection.tasks[name].history] == rows[:, 0].tolist()
    for config in collection.configs:
        collection.space.check(config)
        assert collection.space.from_unit(collection.space.to_unit(config)) == config


def test_accuracies_that_are_no_number_are_failed_trials(tmp_path):
    text = '{"9": {"1": {"X": [[0.0], [0.5], [0.75], [1.0]], "y": [[NaN], [-Infinity], null, [0.5]]}}}'
    with pytest.raises(ModelError, match="has numbers of shapes"):
        read_hpob(write(tmp_path / "ragged.json", text))
    (collection,) = read_hpob(write(tmp_path / "some.json", text.replace("null", "[null]")))
    history = collection.tasks["1"].history
    assert [t.state for t in history] == ["failed", "failed", "failed", "complete"]
    assert [math.isnan(t.loss) for t in history] == [True, True, True, False]


def test_accuracies_may_be_a_flat_list(tmp_path):
    (collection,) = read_hpob(write(tmp_path / "some.json", {"9": {"1": {"X": [[0.0], [0.5]], "y": [0.25, 0.5]}}}))
    assert [t.loss for t in collection.tasks["1"].history] == [-0.25, -0.5]


def test_a_folder_splits_its_datasets(tmp_path, train):
    write(
        tmp_path / "meta-validation-dataset.json", {"5971": {"7": {"X": [[0.0, 0.5, 1.0]], "y": [[0.5]]}}, "4796": {}}
    )
    write(tmp_path / "meta-test-dataset.json", {"5971": {"8": {"X": [[0.0, 0.5, 1.0]], "y": [[0.5]]}}})
    write(tmp_path / "meta-train-dataset-augmented.json", {"1": {"8": {"X": [[0.0]], "y": [[0.5]]}}})
    first, second = read_hpob(tmp_path)
    assert first.splits == {"train": ["43", "3954"], "validation": ["7"], "test": ["8"]}
    assert first.shared.tolist() == [True, True, False]
    assert second.splits == {"train": ["43"]}
    train.unlink()
    assert [c.card.name for c in read_hpob(tmp_path)] == ["hpob-1", "hpob-5971"]


def test_a_task_of_openml_is_one_family_everywhere(train):
    first, second = read_hpob(train)
    families = [d.family for d in (first.card.datasets[0], first.card.datasets[1], second.card.datasets[0])]
    # No bare numbers: other tables have OpenML's dataset numbers as families, and task 43 is not on dataset 43.
    assert families == ["openml-task-43", "openml-task-3954", "openml-task-43"]


def test_one_search_space_is_read_by_name(train):
    (collection,) = read_hpob(train, space_id="4796")
    assert collection.card.name == "hpob-4796"
    with pytest.raises(InputError, match=r"one of 4796, 5971; .* none called '7'"):
        read_hpob(train, space_id="7")


SPACE = Space(
    "mine",
    (
        Categorical(name="kernel", choices=("rbf", "linear"), default="rbf"),
        Int(name="degree", low=1, high=4, default=1),
        Float(name="gamma", low=0.01, high=100.0, log=True, default=1.0, when=("kernel", ("rbf",))),
    ),
)


def test_a_given_space_names_the_columns(train):
    (collection,) = read_hpob(train, space_id="5971", space=SPACE)
    assert collection.space == SPACE
    assert collection.card.space == "mine"
    assert collection.configs == (
        {"kernel": "rbf", "degree": SPACE["degree"].from_unit(0.5), "gamma": 100.0},
        {"kernel": "rbf", "degree": 1, "gamma": 0.01},
        {"kernel": "linear", "degree": 4},
    )


def test_rows_that_a_given_space_takes_for_one_are_one_config(tmp_path):
    document = {"9": {"1": {"X": [[0.9, 0.1, 0.0], [0.1, 0.1, 0.5], [0.8, 0.0, 1.0]], "y": [[0.1], [0.2], [0.3]]}}}
    (collection,) = read_hpob(write(tmp_path / "some.json", document), space=SPACE)
    assert len(collection.configs) == 2
    assert [t.config for t in collection.tasks["1"].history] == [collection.configs[i] for i in (0, 1, 0)]


def test_a_given_space_must_fit(train):
    with pytest.raises(InputError, match=r"one search space; .* has 2: name one by space_id"):
        read_hpob(train, space=SPACE)
    with pytest.raises(ModelError, match=r"as many numbers; for '4796' they are \[1, 3\]"):
        read_hpob(train, space_id="4796", space=SPACE)


def test_single_precision_may_leave_the_unit_cube_by_a_hair(tmp_path):
    document = {"9": {"1": {"X": [[-1e-8], [1.0000001]], "y": [[0.5], [0.5]]}}}
    (collection,) = read_hpob(write(tmp_path / "some.json", document))
    assert collection.configs == ({"x0": 0.0}, {"x0": 1.0})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "is json; .* is not"),
        ("[]", "must be {search space: .* unpack it again"),
        ({}, "has no evaluations"),
        ({"9": {}}, "has no evaluations"),
        ({"9": [1]}, "must be {search space: .* unpack it again"),
        ({"9": {"1": {"X": [[0.5]]}}}, "search space '9', dataset '1' has numbers"),
        ({"9": {"1": {"X": [[0.5]], "y": [[0.5], [0.25]]}}}, r"shapes \(1, 1\) and \(2, 1\)"),
        ({"9": {"1": {"X": [[0.5, 0.5], [0.5]], "y": [[0.5], [0.25]]}}}, "dataset '1' has numbers"),
        ({"9": {"1": {"X": [["a"]], "y": [[0.5]]}}}, "dataset '1' has numbers"),
        ({"9": {"1": {"X": [], "y": []}}}, r"shapes \(0,\) and \(0,\)"),
        ({"9": {"1": 3}}, "dataset '1' has numbers"),
        ({"9": {"1": {"X": [[0.5], [2.0]], "y": [[0.5], [0.5]]}}}, "unit cube; .* has 2.0: scale every column"),
        ({"9": {"1": {"X": [[None]], "y": [[0.5]]}}}, "unit cube; .* has nan"),
        ({"9": {"1": {"X": [[0.5]], "y": [[1]]}, "2": {"X": [[0.5, 1]], "y": [[1]]}}}, r"they are \[1, 2\]"),
    ],
)
def test_another_layout_is_refused(tmp_path, document, message):
    with pytest.raises(ModelError, match=message):
        read_hpob(write(tmp_path / "some.json", document))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ModelError, match=r"cannot be read: .*nothing.json: No such file"):
        read_hpob(tmp_path / "nothing.json")
    with pytest.raises(ModelError, match=r"holds meta-train-dataset.json, .* has none of them"):
        read_hpob(tmp_path)


def test_a_dataset_has_one_split(tmp_path, train):
    write(tmp_path / "meta-test-dataset.json", TRAIN)
    with pytest.raises(
        ModelError, match=r"has one split; .*meta-test-dataset.json repeats '43' of search space '5971'"
    ):
        read_hpob(tmp_path)
