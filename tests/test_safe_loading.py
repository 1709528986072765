"""Loading a model runs nothing that stands in it, and refuses what autometa did not write."""

import io
import json
import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from autometa.errors import ModelError
from autometa.tables.fold_model import FoldModel
from autometa.tables.learners import forests
from autometa.tables.metrics import resolve_metric
from autometa.tables.objective import evaluate
from autometa.tables.state import ARRAYS, SETTINGS, State, load_state, save_state
from tests.learning import ALGORITHMS, config, halves, table

HOLDS_OBJECTS = np.array([{"a": 1}], dtype=object)


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    given = table("multiclass", rows=100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forests, "MOST_TREES", 10)
        patch.setattr(forests, "FEWEST_TREES", 10)
        for algorithm in ALGORITHMS:
            metric = resolve_metric(None, given.kind)
            found = evaluate(config(algorithm), given, *halves(given), metric, seed=0)
            found.model.save(folder / algorithm)
    return folder


@pytest.fixture
def model(models, tmp_path):
    """Copies a saved model to where it may be damaged."""

    def copy(algorithm):
        state = load_state(models / algorithm)
        save_state(state, tmp_path / "model")
        return tmp_path / "model"

    return copy


def rewrite(folder, change):
    """Change the arrays of a model and sign it anew, as who means harm would."""
    state = load_state(folder)
    arrays = {name: value.copy() for name, value in state.arrays.items()}
    settings = json.loads(json.dumps(state.settings))
    change(arrays, settings)
    save_state(State(settings, arrays), folder)


@pytest.mark.parametrize("name", ["learner.pkl", "model.joblib", "module.py", "weights.pt", "x.npy"])
def test_a_foreign_file_is_refused(model, name, tmp_path):
    folder = model("linear")
    (folder / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(ModelError, match="nothing else"):
        FoldModel.load(folder)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", [SETTINGS, ARRAYS])
def test_a_pickle_in_place_of_a_file_is_not_opened(model, name, tmp_path):
    folder = model("linear")
    (folder / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(ModelError):
        FoldModel.load(folder)
    assert not (tmp_path / "sprung").exists()


def test_an_archive_with_objects_is_not_opened(model):
    folder = model("linear")
    content = io.BytesIO()
    np.savez(content, weights=HOLDS_OBJECTS)
    (folder / ARRAYS).write_bytes(content.getvalue())
    with pytest.raises(ModelError):
        FoldModel.load(folder)


@pytest.mark.parametrize("name", [SETTINGS, ARRAYS])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_torn_file_is_refused(model, name, share):
    path = model("network") / name
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError):
        FoldModel.load(path.parent)


def test_a_changed_byte_is_noticed(model):
    path = model("catboost") / ARRAYS
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not the file that was written"):
        FoldModel.load(path.parent)


def test_absent_folders_and_other_formats_are_refused(model, tmp_path):
    with pytest.raises(ModelError, match="is a folder"):
        FoldModel.load(tmp_path / "absent")
    folder = model("linear")
    document = json.loads((folder / SETTINGS).read_text())
    (folder / SETTINGS).write_text(json.dumps({**document, "format": 99}))
    with pytest.raises(ModelError, match="format"):
        FoldModel.load(folder)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_array_that_is_missing_or_of_another_shape_is_refused(model, algorithm):
    for name in load_state(model(algorithm)).arrays:
        folder = model(algorithm)
        rewrite(folder, lambda arrays, _, name=name: arrays.pop(name))
        with pytest.raises(ModelError):
            FoldModel.load(folder)
        folder = model(algorithm)
        rewrite(folder, lambda arrays, _, name=name: arrays.update({name: arrays[name].astype(np.float16)}))
        with pytest.raises(ModelError):
            FoldModel.load(folder)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_settings_of_another_kind_are_refused(model, algorithm):
    settings = load_state(model(algorithm)).settings
    for part in ("learner", "preprocessor", "responses"):
        for key in settings[part]:
            folder = model(algorithm)
            rewrite(folder, lambda _, given, part=part, key=key: given[part].pop(key))
            with pytest.raises(ModelError):
                FoldModel.load(folder)


@pytest.mark.parametrize("name", ["nonsense", "os", "contract", None, 3])
def test_an_unknown_learner_is_refused(model, name):
    folder = model("linear")
    rewrite(folder, lambda _, settings: settings.update(algorithm=name))
    with pytest.raises(ModelError, match="names the learner"):
        FoldModel.load(folder)


def _set(name, place, value):
    def change(arrays, _):
        arrays[f"learner/{name}"][place] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("right", 0, 10**6),
        _set("right", 0, -5),
        _set("right", 0, 1),
        _set("right", slice(None), 0),
        _set("feature", 0, 10**6),
        _set("feature", 0, -1),
        _set("threshold", 0, np.nan),
        _set("outputs", 0, 99),
        _set("outputs", 0, -1),
        _set("entries", 0, 10**6),
        _set("entries", 0, -1),
        _set("sizes", 0, 10**6),
        _set("sizes", 0, 0),
    ],
)
def test_trees_that_lead_out_of_their_arrays_are_refused(model, change):
    folder = model("extra_trees")
    rewrite(folder, change)
    with pytest.raises(ModelError):
        FoldModel.load(folder)


def test_columns_out_of_range_are_refused(model):
    for name, value in (("preprocessor/columns/used", 99), ("preprocessor/levels/maps", 99)):
        folder = model("lightgbm")

        def change(arrays, _, name=name, value=value):
            arrays[name][0] = value

        rewrite(folder, change)
        with pytest.raises(ModelError):
            FoldModel.load(folder)


def test_parts_of_different_models_are_refused(models, model):
    folder = model("linear")
    other = load_state(models / "lightgbm")

    def change(arrays, settings):
        settings["preprocessor"] = other.settings["preprocessor"]
        for name in [name for name in arrays if name.startswith("preprocessor/")]:
            del arrays[name]
        arrays.update({name: value for name, value in other.arrays.items() if name.startswith("preprocessor/")})

    rewrite(folder, change)
    with pytest.raises(ModelError):
        FoldModel.load(folder)


@pytest.mark.parametrize("algorithm", ["lightgbm", "catboost", "xgboost"])
def test_nonsense_in_place_of_a_booster_is_refused(model, algorithm):
    for content in (b"", b"tree\n", pickle.dumps([1, 2]), bytes(range(256)) * 10):
        folder = model(algorithm)

        def change(arrays, _, content=content):
            arrays["learner/model"] = np.frombuffer(content, np.uint8)

        rewrite(folder, change)
        with pytest.raises(ModelError):
            FoldModel.load(folder)


def test_a_killed_save_leaves_the_old_model(model, monkeypatch):
    folder = model("linear")
    before = load((folder / ARRAYS).read_bytes())
    monkeypatch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    fitted = FoldModel.load(folder)
    with pytest.raises(KeyboardInterrupt):
        fitted.save(folder.with_name("fresh"))
    assert not folder.with_name("fresh").exists()
    assert save(load((folder / ARRAYS).read_bytes())) == save(before)


def test_twenty_five_models_load_in_half_a_second(models):
    for algorithm in ALGORITHMS:
        FoldModel.load(models / algorithm)  # imports the library
    started = time.process_time()
    for i in range(25):
        FoldModel.load(models / ALGORITHMS[i % len(ALGORITHMS)])
    assert time.process_time() - started < 0.5
