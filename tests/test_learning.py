"""Learning from one's own runs: by the command, at the end of each search, and never by more than numbers."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from tables import classification, regression
from typer.testing import CliRunner

import autometa
from autometa.cli import app
from autometa.errors import InputError, RunError
from autometa.records.personal import personal_folder, personal_tasks
from autometa.records.reading import read_collections
from autometa.search.api import resume, search
from autometa.search.inline import InlineExecutor
from autometa.search.learning import learn, lesson_of_run
from autometa.space import Space
from autometa.tables.meta_features import NAMES
from tests.killed_runs import Killed, KilledAfter

QUICK = str(Path(__file__).with_name("quick.toml"))
TABULAR = Space.load("tabular")


def run(out, frame=None, **options):
    settings = {"trials": 6, "space": QUICK, "seed": 1, "workers": 1, "memory": "4G", "report": False} | options
    settings = {"executor": InlineExecutor()} | settings
    return search(classification(150) if frame is None else frame, out=out, **settings)


def invoke(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, from which nothing was learned yet."""
    return run(tmp_path_factory.mktemp("learning") / "run", learn=False).path


def test_a_search_leaves_itself_to_learn_from(tmp_path):
    result = run(tmp_path / "run")
    (task,) = personal_tasks(TABULAR)
    board = result.leaderboard.set_index("trial").sort_index()
    assert [t.config for t in task.history] == [json.loads(c) for c in board.config]
    assert [t.state for t in task.history] == list(board.state)
    assert [t.loss for t in task.history] == pytest.approx(list(board.loss), rel=1e-6)
    complete = [t for t in task.history if t.state == "complete"]
    assert {len(t.fold_losses) for t in complete} == {5}
    for trial, seconds in zip(task.history, board.seconds, strict=True):
        assert 0 < trial.seconds <= seconds + 1e-3  # without the repeats
    assert task.features["kind"] == "binary"
    assert task.features["rows"] == 150.0
    assert set(NAMES) | {"constant_loss"} <= set(task.features)
    assert personal_tasks(Space.load(QUICK))[0].space == Space.load(QUICK)
    assert learn([str(result.path)], say=print) == {personal_folder() / "tabular-1": 1}
    (again,) = personal_tasks(TABULAR)
    assert (again.name, again.features, repr(again.history)) == (task.name, task.features, repr(task.history))


def test_what_is_learned_later_is_what_the_search_would_have_left(tmp_path, finished):
    shutil.copytree(finished, tmp_path / "moved")
    learn([str(finished)], say=print)
    assert learn([str(tmp_path / "moved"), str(finished)], say=print) == {personal_folder() / "tabular-1": 1}
    (task,) = personal_tasks(TABULAR)
    assert math.isclose(task.best.loss, autometa.load(finished).leaderboard.loss.min(), rel_tol=1e-6)


@pytest.mark.parametrize("how", ["argument", "environment", "command"])
def test_it_can_be_turned_off(tmp_path, monkeypatch, home, how):
    if how == "argument":
        run(tmp_path / "run", learn=False)
    elif how == "environment":
        monkeypatch.setenv("AUTOMETA_LEARN", "0")
        run(tmp_path / "run")
    else:
        classification(150).to_csv(tmp_path / "table.csv", index=False)
        options = ["--trials", 2, "--space", QUICK, "--workers", 1, "--out", tmp_path / "run", "--no-learn"]
        assert invoke("search", tmp_path / "table.csv", *options)[0] == 0
        assert json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["learn"] is False
    assert (tmp_path / "run" / "metrics.json").exists()
    assert not home.exists()


@pytest.mark.parametrize("wanted", [True, False])
def test_a_resumed_run_is_learned_once_and_only_if_it_was_to_be(tmp_path, monkeypatch, home, wanted):
    with pytest.raises(Killed):
        run(tmp_path / "run", executor=KilledAfter(12), learn=wanted)
    assert not home.exists()
    monkeypatch.setattr("autometa.search.starting._local_executor", lambda _: InlineExecutor())
    resume(tmp_path / "run")
    resume(tmp_path / "run")
    assert [len(t.history) for t in personal_tasks(TABULAR)] == ([6] if wanted else [])


def test_estimators_leave_nothing_unless_they_keep_their_run(tmp_path, home):
    frame = classification(120)
    settings = {"trials": 2, "space": QUICK, "workers": 0, "memory": "4G"}
    x, y = frame.drop(columns="label"), frame.label
    autometa.AutoMetaClassifier(**settings).fit(x, y)
    assert not home.exists()
    autometa.AutoMetaClassifier(**settings, out=str(tmp_path / "run")).fit(x, y)
    assert len(personal_tasks(TABULAR)) == 1


def test_trouble_with_learning_is_a_warning_and_the_search_is_done(tmp_path, home):
    home.write_text("a file where a folder is to be")
    classification(150).to_csv(tmp_path / "table.csv", index=False)
    options = ["--trials", 2, "--space", QUICK, "--workers", 1, "--out", tmp_path / "run"]
    code, out, err = invoke("search", tmp_path / "table.csv", *options)
    assert code == 0
    assert out.startswith("auc")
    warnings = [line for line in err.splitlines() if "will not learn from this one" in line]
    assert len(warnings) == 1
    assert "cannot be written" in warnings[0]
    assert not (tmp_path / "run" / "work").exists()


def test_nothing_of_the_table_is_kept(tmp_path, home):
    secret = tmp_path / "payroll_of_acme"
    secret.mkdir()
    frame = classification(150).rename(columns={"a": "salary_eur", "b": "height_cm", "colour": "blood_type"})
    frame["blood_type"] = frame["blood_type"].map({"red": "type_zero", "green": "type_alpha", "blue": "type_beta"})
    frame["salary_eur"] = frame["salary_eur"].abs()
    frame["verdict"] = frame.pop("label").map({"class0": "guilty", "class1": "innocent"})
    frame.to_csv(secret / "patients_2031.csv", index=False)
    (secret / "my_ward.toml").write_text('extends = "tabular"\n[parameters.algorithm]\nchoices = ["linear"]\n')
    result = run(secret / "runs", str(secret / "patients_2031.csv"), target="verdict", weight="salary_eur",
                 space=str(secret / "my_ward.toml"))  # fmt: skip
    into = tmp_path / "into"
    learn([str(result.path)], into, say=print)
    words = ["salary", "height", "blood", "type_zero", "type_alpha", "type_beta", "verdict", "guilty", "innocent",
             "payroll", "acme", "patients", "2031", "ward", tmp_path.name]  # fmt: skip
    files = [p for folder in (home, into) for p in folder.rglob("*") if p.is_file() and p.name != ".lock"]
    assert len(files) == 6
    for path in files:
        assert not any(word in str(path.relative_to(tmp_path if into in path.parents else home)) for word in words)
        content = path.read_bytes()
        if path.suffix == ".parquet":  # its pages are compressed
            content += pd.read_parquet(path).to_csv().encode()
        assert [w for w in words if w.encode() in content] == [], path


def test_two_spaces_in_one_call(tmp_path, finished):
    narrow = TABULAR.restrict({"algorithm": {"choices": ["linear"]}})
    strength = narrow["linear_C"]
    beyond = {"low": 2 * strength.high, "high": 4 * strength.high, "default": 3 * strength.high}
    moved = tuple(replace(p, **beyond) if p is strength else p for p in narrow)
    (tmp_path / "mine.toml").write_text(replace(narrow, name="mine", version="", parameters=moved).to_toml())
    other = run(tmp_path / "other", regression(120), space=str(tmp_path / "mine.toml"), learn=False, policy="random")
    counts = learn([str(finished), str(other.path)], tmp_path / "into", say=print)
    assert list(counts.values()) == [1, 1]
    ours, theirs = sorted(read_collections(tmp_path / "into"), key=lambda c: c.card.space, reverse=True)
    assert (ours.space, theirs.space["linear_C"].low) == (TABULAR, 2 * strength.high)
    assert "mine" not in (tmp_path / "into" / theirs.card.name / "card.toml").read_text()


REFUSED = {
    "no run": ("empty", "run.json"),
    "no such thing": ("nothing", "is none"),
    "no such file of a study": ("sqlite:///nothing.db", "there is no file"),
}


@pytest.mark.parametrize(("source", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_leaves_nothing_behind(tmp_path, monkeypatch, finished, source, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    code, out, err = invoke("learn", finished, source, "--into", "into")
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert [p.name for p in tmp_path.iterdir()] == ["empty"]


def test_a_run_that_goes_on_or_has_nothing_is_refused(tmp_path, monkeypatch):
    with pytest.raises(Killed):
        run(tmp_path / "cut", executor=KilledAfter(12))
    with pytest.raises(RunError, match=f"autometa resume {tmp_path / 'cut'}"):
        lesson_of_run(tmp_path / "cut")
    shutil.rmtree(tmp_path / "cut" / "work")
    kept = (tmp_path / "cut" / "journal.log").read_text().splitlines()
    (tmp_path / "cut" / "journal.log").write_text("\n".join(kept[:3]) + "\n")
    with pytest.raises(InputError, match="has none"):
        lesson_of_run(tmp_path / "cut")
    (tmp_path / "cut" / "journal.log").write_text("no journal\nat all\n")
    with pytest.raises(RunError, match="damaged"):
        lesson_of_run(tmp_path / "cut")
    (tmp_path / "cut" / "journal.log").unlink()
    with pytest.raises(RunError, match=r"journal\.log"):
        lesson_of_run(tmp_path / "cut")
    (tmp_path / "cut" / "run.json").write_text('{"format": 1}')
    with pytest.raises(RunError, match="lacks"):
        lesson_of_run(tmp_path / "cut")


def test_a_space_that_has_changed_since_is_said(tmp_path):
    space = tmp_path / "space.toml"
    shutil.copy(QUICK, space)
    path = run(tmp_path / "run", space=str(space), learn=False).path
    # Hyperparameters that the shipped space does not have, so that its own must be asked.
    journal = path / "journal.log"
    journal.write_text(journal.read_text().replace("linear_C", "linear_D"))
    with pytest.raises(RunError, match="has changed since"):
        lesson_of_run(path)


def test_reading_a_run_writes_nothing_into_it(finished):
    def state():
        return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in finished.rglob("*")}

    before = state()
    lesson_of_run(finished)
    assert state() == before


def test_the_command_says_what_there_is(tmp_path, finished):
    code, out, err = invoke("learn", finished, "--into", tmp_path / "into")
    assert (code, out, err) == (0, f"1 task in {tmp_path / 'into' / 'tabular-1'}\n", "")
    assert invoke("learn", finished) == (0, f"1 task in {personal_folder() / 'tabular-1'}\n", "")
