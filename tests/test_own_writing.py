"""Writing a collection: a kill at any moment leaves the one before or the new one, and no reader sees a mixture."""

from pathlib import Path

import numpy as np
import pytest

from autometa.records.card import Card, Dataset
from autometa.records.collection import Collection
from autometa.records.own_files import CARD, FEATURES, TRIALS
from autometa.records.own_writing import table_of, write_own, write_table
from autometa.space import Space

SPACE = Space.load("tabular")


def card(*tasks):
    return Card("made", "", "tabular", SPACE.version, tuple(Dataset(t, t, kind="binary") for t in tasks))


def row(task, number, loss, state="complete"):
    return {
        "task": task, "config_id": f"c{number}", "origin": "", "config": SPACE.sample(np.random.default_rng(number)),
        "budget": 1.0, "folds": 2, "fold_losses": [loss, loss], "loss": loss, "test_loss": None, "fit_s": None,
        "predict_s": None, "cpu_s": 1.0, "peak_mb": None, "state": state, "error": "", "machine": "", "curve": [],
        "rounds": None,
    }  # fmt: skip


class Killed(BaseException):
    """Stands for the end of the process."""


def seen(folder):
    found = Collection.load(folder)
    return {n: ([t.loss for t in found.tasks[n].history], found.features(i)) for i, n in enumerate(found.names)}


@pytest.fixture
def folder(tmp_path):
    write_own(tmp_path, card("one"), SPACE, [row("one", 1, 0.5)], {"one": {"log_rows": 3.0}})
    return tmp_path


@pytest.mark.parametrize("moment", range(7))
def test_a_kill_leaves_the_collection_as_before_or_after(folder, monkeypatch, moment):
    def write(number=2):
        rows = [row("one", number, 0.25), row("two", 3, 0.125)]
        write_own(folder, card("one", "two"), SPACE, rows, {"one": {"log_rows": 4.0}, "two": {"log_rows": 5.0}})

    before = seen(folder)
    write()
    after = seen(folder)
    write_own(folder, card("one"), SPACE, [row("one", 1, 0.5)], {"one": {"log_rows": 3.0}})
    assert seen(folder) == before
    left, true_replace = [moment], Path.replace

    def replace(self, target):
        # Killed before and after each of the three steps that others can see.
        for step in (0, 1):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            if step == 0:
                true_replace(self, target)
        return Path(target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        if moment < 6:
            with pytest.raises(Killed):
                write()
        else:
            write()
    assert seen(folder) == (before if moment == 0 else after)
    write(4)  # whoever goes on is not disturbed by what is left
    assert seen(folder)["one"] == after["one"]
    assert sorted(p.name for p in folder.iterdir()) == [CARD, FEATURES, TRIALS]


def test_features_that_some_tasks_lack_are_not_there(tmp_path):
    rows = [row("one", 1, 0.5), row("two", 2, 0.5), row("three", 3, 0.5)]
    features = {"one": {"a": 1.0}, "two": {"b": 2.0}, "gone": {"a": 3.0}}
    write_own(tmp_path, card("one", "two", "three"), SPACE, rows, features)
    assert Collection.load(tmp_path).meta_features == {"one": {"a": 1.0}, "two": {"b": 2.0}}


def test_what_was_stopped_is_in_the_history_and_not_in_the_table(tmp_path):
    rows = [row("one", 1, 0.5), row("one", 2, 0.7, "pruned"), row("one", 3, None, "failed")]
    rows[2]["fold_losses"] = []
    write_table(tmp_path, card("one"), table_of(SPACE, rows))
    found = Collection.load(tmp_path)
    assert [t.state for t in found.tasks["one"].history] == ["complete", "pruned", "failed"]
    assert np.isnan(found.full).tolist() == [[False, True, True]]
    assert found.evaluated.tolist() == [[True, False, True]]
