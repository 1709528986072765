"""Lessons in a folder of collections: by space, replaced when learned again, whole at every moment."""

import fcntl
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autometa.errors import InputError, RunError
from autometa.parameters import Categorical, Float, Int
from autometa.records import lessons as lessons_module
from autometa.records.collection import Collection
from autometa.records.lessons import Lesson, learn_into
from autometa.records.own_files import CARD
from autometa.records.personal import home, keep, learning, personal_folder, personal_tasks
from autometa.records.reading import read_collections
from autometa.space import Space
from autometa.tables.meta_features import NAMES
from autometa.task import Task, Trial

TABULAR = Space.load("tabular")
QUICK = Space.load(Path(__file__).with_name("quick.toml"))
OTHER = Space(
    "mine",
    (
        Categorical(name="kind", choices=("a", 1, True), default="a"),
        Float(name="rate", low=1e-3, high=1.0, log=True, default=0.1, when=("kind", ("a", True))),
        Int(name="depth", low=1, high=9, default=3),
    ),
)
FEATURES = {"kind": "binary", "rows": 90.0, "features": 4.0, "numbers": 3.0, "categories": 1.0, "classes": 2.0}


def lesson(number, space=TABULAR, *, trials=6, meta=0.5):
    rng = np.random.default_rng(number)
    history = [Trial(space.sample(rng), "complete", i / 8, (i / 8, i / 8), 1.0, 2.0) for i in range(trials)]
    history[-1] = replace(history[-1], state="pruned", fold_losses=(0.75,), loss=0.75)
    history.append(Trial(space.sample(rng), "failed", 0.5))
    features = FEATURES | dict.fromkeys(NAMES, meta)
    return Lesson(Task(f"run-{number}", space, tuple(history), features), "auc", 2)


def plain(task):
    """What two tasks are compared by; NaN equals NaN."""
    return task.name, task.space, task.features, repr(task.history)


def test_a_task_comes_back_as_it_was_learned(tmp_path):
    given = lesson(1)
    assert learn_into(tmp_path, [given]) == {tmp_path / "tabular-1": 1}
    found = Collection.load(tmp_path / "tabular-1")
    failed = replace(given.task.history[-1], loss=math.nan)
    expected = replace(given.task, history=(*given.task.history[:-1], failed))
    assert plain(found.tasks["run-1"]) == plain(expected)
    assert found.card.datasets[0].metric == "auc"
    assert found.card.datasets[0].folds == 2


def test_learning_again_replaces_and_never_doubles(tmp_path):
    learn_into(tmp_path, [lesson(1), lesson(2)])
    longer = lesson(1, trials=9)
    assert learn_into(tmp_path, [longer]) == {tmp_path / "tabular-1": 2}
    (found,) = read_collections(tmp_path)
    assert found.names == ("run-2", "run-1")
    assert len(found.tasks["run-1"].history) == 10
    before = [plain(t) for t in found.tasks.values()]
    learn_into(tmp_path, [longer])
    assert [plain(t) for t in read_collections(tmp_path)[0].tasks.values()] == before


def test_each_space_has_a_collection(tmp_path):
    renamed = replace(OTHER, name="theirs", version="7")
    counts = learn_into(tmp_path, [lesson(1), lesson(2, OTHER), lesson(3, renamed)])
    assert sorted(counts.values()) == [1, 2]
    by_name = {c.card.space: c for c in read_collections(tmp_path)}
    own = next(c for name, c in by_name.items() if name.startswith("space-"))
    assert own.names == ("run-2", "run-3")
    assert own.space.parameters == OTHER.parameters
    assert [t.config for t in own.tasks["run-2"].history] == [t.config for t in lesson(2, OTHER).task.history]


def test_a_task_whose_space_has_changed_moves(tmp_path):
    learn_into(tmp_path, [lesson(1), lesson(2)])
    learn_into(tmp_path, [lesson(1, OTHER)])
    assert [c.names for c in read_collections(tmp_path)] == [("run-1",), ("run-2",)]
    learn_into(tmp_path, [lesson(1)])
    assert [c.names for c in read_collections(tmp_path)] == [("run-2", "run-1")]


def test_runs_on_one_table_are_one_family_and_share_configs(tmp_path):
    task = lesson(1).task
    same = [
        Lesson(replace(task, name=f"run-{name}", features={**task.features, "constant_loss": loss}))
        for name, loss in (("a", 0.5), ("b", 0.25))
    ]
    learn_into(tmp_path, [*same, lesson(3, meta=0.25)])
    (found,) = read_collections(tmp_path)
    one, other, third = (d.family for d in found.card.datasets)
    assert one == other != third
    assert found.shared.sum() == 6  # the seventh was stopped early on both


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("step", range(5))
def test_a_kill_in_the_middle_leaves_what_was_or_what_is_to_be(tmp_path, monkeypatch, step):
    def seen():
        return {t.name: len(t.history) for c in read_collections(tmp_path) for t in c.tasks.values()}

    learn_into(tmp_path, [lesson(1)])
    steps, true_replace = [step], Path.replace

    def dying_replace(self, target):
        if steps[0] == 0:
            raise Killed
        steps[0] -= 1
        return true_replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dying_replace)
        if step < 3:  # the card, the meta-features, the trials
            with pytest.raises(Killed):
                learn_into(tmp_path, [lesson(1, trials=9), lesson(2)])
        else:
            learn_into(tmp_path, [lesson(1, trials=9), lesson(2)])
    assert seen() == ({"run-1": 7} if step == 0 else {"run-1": 10, "run-2": 7})
    learn_into(tmp_path, [lesson(1, trials=9), lesson(2)])
    assert seen() == {"run-1": 10, "run-2": 7}


def test_the_first_kill_leaves_nothing_that_is_read(tmp_path, monkeypatch, home):
    monkeypatch.setattr(lessons_module, "write_table", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        keep([lesson(1, OTHER)])
    assert personal_tasks(OTHER) == ()
    monkeypatch.undo()
    monkeypatch.setenv("AUTOMETA_HOME", str(home))
    keep([lesson(1, OTHER)])
    assert [t.name for t in personal_tasks(OTHER)] == ["run-1"]


def test_a_collection_is_no_folder_of_collections(tmp_path):
    learn_into(tmp_path, [lesson(1)])
    with pytest.raises(InputError, match="is a collection itself"):
        learn_into(tmp_path / "tabular-1", [lesson(2)])


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="cannot be written"):
        learn_into(tmp_path / "file" / "into", [lesson(1)])


def test_another_process_that_learns_is_waited_for_and_then_said(tmp_path, monkeypatch):
    monkeypatch.setattr(lessons_module, "PATIENCE", 0.1)
    learn_into(tmp_path, [lesson(1)])
    with (tmp_path / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="another process is learning"):
            learn_into(tmp_path, [lesson(2)])
    learn_into(tmp_path, [lesson(2)])


def test_only_the_newest_are_kept(tmp_path):
    for number in range(4):
        learn_into(tmp_path, [lesson(number)], most=3)
    (found,) = read_collections(tmp_path)
    assert found.names == ("run-1", "run-2", "run-3")
    assert sorted(found.meta_features) == ["run-1", "run-2", "run-3"]
    assert len(found.evaluations) == 21


def test_personal_tasks_are_seen_on_the_space_that_asks(home):
    keep([lesson(1), lesson(2, OTHER), lesson(3, QUICK.restrict({"algorithm": {"choices": ["linear"]}}))])
    assert [t.name for t in personal_tasks(OTHER)] == ["run-2"]
    assert [t.name for t in personal_tasks(TABULAR)] == ["run-1"]  # the third has a space of its own
    held = [t for t in lesson(1).task.history if QUICK.has(t.config)]
    for task in personal_tasks(QUICK):
        assert task.space == QUICK
        assert all(QUICK.has(t.config) for t in task.history)
        if task.name == "run-1":
            assert len(task.history) == len(held)


def test_a_damaged_collection_is_said_and_counts_as_none(home):
    keep([lesson(1), lesson(2, OTHER)])
    (personal_folder() / "tabular-1" / "trials.parquet").write_bytes(b"damaged")
    said = []
    assert personal_tasks(TABULAR, say=said.append) == ()
    assert len(said) == 1
    assert "remove the folder" in said[0]
    assert len(personal_tasks(OTHER)) == 1


def test_without_any_there_are_none(home):
    assert personal_tasks(TABULAR) == ()
    assert not home.exists()


@pytest.mark.parametrize(
    ("platform", "variables", "place"),
    [
        ("linux", {"AUTOMETA_HOME": "/a/b"}, "/a/b"),
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/autometa"),
        ("linux", {}, "/people/me/.local/share/autometa"),
        ("darwin", {}, "/people/me/Library/Application Support/autometa"),
        ("darwin", {"AUTOMETA_HOME": "/a", "XDG_DATA_HOME": "/data"}, "/a"),
    ],
)
def test_where_the_users_folder_is(monkeypatch, platform, variables, place):
    for name in ("AUTOMETA_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/people/me")
    monkeypatch.setattr("sys.platform", platform)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert home() == Path(place)


def test_no_test_writes_to_the_users_own_folder(tmp_path_factory):
    assert personal_folder().is_relative_to(tmp_path_factory.getbasetemp())


def test_the_environment_turns_learning_off(monkeypatch):
    assert learning()
    monkeypatch.setenv("AUTOMETA_LEARN", "0")
    assert not learning()


def test_a_folder_of_ones_own_is_for_oneself(home):
    keep([lesson(1)])
    assert personal_folder().stat().st_mode & 0o077 == 0
    assert sorted(p.name for p in (personal_folder() / "tabular-1").iterdir()) == [
        CARD, "features.parquet", "trials.parquet",
    ]  # fmt: skip
