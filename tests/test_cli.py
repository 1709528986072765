"""The command line: what is printed where, exit codes, and refusals that leave nothing behind."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tables import classification, regression
from typer.testing import CliRunner

import autometa
from autometa.cli import app
from autometa.search.inline import InlineExecutor

ROOT = Path(__file__).resolve().parent.parent
QUICK = str(Path(__file__).with_name("quick.toml"))


def invoke(*arguments, **options):
    """The exit code, standard output and standard error of `autometa ARGUMENTS`, in this process."""
    result = CliRunner().invoke(app, [str(a) for a in arguments], **options)
    return result.exit_code, result.stdout, result.stderr


def searched(folder, frame, **options):
    settings = {"trials": 2, "space": QUICK, "seed": 1, "workers": 1, "memory": "4G", "report": False} | options
    return autometa.search(frame, out=folder, executor=InlineExecutor(), **settings).path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on three classes, named by whole numbers."""
    frame = classification(150, classes=3)
    frame["label"] = frame["label"].str[-1].astype(int) + 1
    return searched(tmp_path_factory.mktemp("cli") / "run", frame)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory with one table in it."""
    classification(150).to_csv(tmp_path / "table.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


REFUSED = {
    "a file that is not there": (["tabel.csv"], "there is no file 'tabel.csv'"),
    "a folder": (["."], "'.' is a folder"),
    "a time": (["table.csv", "--time", "5x"], "a time is written like"),
    "too little time": (["table.csv", "--time", "1s"], "at least 5 seconds"),
    "a size": (["table.csv", "--memory", "4Q"], "a memory size is written like"),
    "too little memory": (["table.csv", "--memory", "10M"], "at least 512M"),
    "no trials": (["table.csv", "--trials", "0"], "trials must be at least 1"),
    "no workers": (["table.csv", "--workers", "0"], "workers must be at least 1"),
    "a metric": (["table.csv", "--metric", "acuracy"], "did you mean accuracy"),
    "a metric of numbers": (["table.csv", "--metric", "rmse"], "rmse"),
    "a target": (["table.csv", "--target", "labell"], "the nearest are 'label'"),
    "a space": (["table.csv", "--space", "tabluar"], "tabluar"),
    "a group": (["table.csv", "--group", "site"], "there is no 'site'"),
    "a gap without time": (["table.csv", "--embargo", "3"], "name the time column"),
    "test rows": (["table.csv", "--test", "test.csv"], "there is no file 'test.csv'"),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_searched_is_refused_and_leaves_nothing_behind(folder, arguments, message):
    code, out, err = invoke("search", *arguments)
    assert code == 2
    assert out == ""
    assert err.splitlines()[-1].startswith("error: ")
    assert message in err
    assert "Traceback" not in err
    assert [p.name for p in folder.iterdir()] == ["table.csv"]


@pytest.mark.parametrize("option", [["--policy", "oracle"], ["--task", "guess"], ["--trials", "many"], ["--tme", "9s"]])
def test_an_option_that_is_none_is_refused_by_name(folder, option):
    code, out, err = invoke("search", "table.csv", *option)
    assert (code, out) == (2, "")
    assert option[0] in err
    assert [p.name for p in folder.iterdir()] == ["table.csv"]


def test_a_folder_with_content_is_left_as_it_is(folder):
    (folder / "mine").mkdir()
    (folder / "mine" / "notes.txt").write_text("mine")
    code, out, err = invoke("search", "table.csv", "--out", "mine")
    assert (code, out) == (2, "")
    assert "autometa resume mine" in err
    assert [p.name for p in (folder / "mine").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resume", "nothing"], "nothing has none"),
        (["resume", "."], "run.json"),
        (["predict", "nothing", "table.csv"], "nothing has none"),
        (["report", "nothing"], "nothing has none"),
        (["spaces", "tabluar"], "tabluar"),
        (["suggest", "tabel.csv"], "there is no file 'tabel.csv'"),
        (["suggest", "table.csv", "-k", "0"], "-k"),
    ],
    ids=" ".join,
)
def test_other_commands_refuse_as_well(folder, arguments, message):
    code, out, err = invoke(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert [p.name for p in folder.iterdir()] == ["table.csv"]


def test_debug_shows_the_traceback(folder):
    command = [sys.executable, ROOT / "cli.py", "suggest", "tabel.csv", "--debug"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert "Traceback (most recent call last)" in found.stderr
    assert "InputError: a table must exist" in found.stderr
    assert found.stderr.splitlines()[-1].startswith("error: a table must exist")


def test_what_nobody_expected_is_one_line_as_well(folder, monkeypatch):
    def broken(*args, **options):
        raise ZeroDivisionError("nobody expected this")

    monkeypatch.setattr("autometa.search.suggestions.suggest", broken)
    code, out, err = invoke("suggest", "table.csv")
    assert (code, out) == (1, "")
    assert err == "unexpected error: ZeroDivisionError: nobody expected this\n(--debug shows where)\n"


def test_search_prints_one_json_object_and_resume_the_same(folder):
    options = ["--trials", 2, "--space", QUICK, "--workers", 1, "--seed", 3, "--out", "run"]
    code, out, _ = invoke("search", "table.csv", *options, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["run"] == "run"
    assert (found["metric"], found["direction"], found["trials"], found["failed_trials"]) == ("auc", "maximize", 2, 0)
    assert (folder / "run" / "report.html").exists()
    code, out, _ = invoke("resume", "run", "--json")
    assert code == 0
    assert json.loads(out) == found


def test_a_table_comes_by_standard_input_and_quiet_is_quiet(folder):
    options = ["--trials", "1", "--space", QUICK, "--workers", "1", "--quiet"]
    command = [sys.executable, ROOT / "cli.py", "search", "-", *options]
    with (folder / "table.csv").open("rb") as table:
        found = subprocess.run(command, stdin=table, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    lines = found.stdout.splitlines()
    assert lines[0].startswith("auc 0.")
    assert lines[0].endswith(" (validation)")
    (run,) = (folder / "runs").iterdir()
    assert run.name.startswith("stdin-")
    assert lines[-1] == f"predict  autometa predict runs/{run.name} NEW.csv"


def test_predict_writes_one_row_per_row_in_order(folder, run):
    rows = classification(20, classes=3, seed=7).drop(columns="label")
    rows.to_csv("new.csv", index=False)
    code, out, err = invoke("predict", run, "new.csv", "--proba", "--out", "found.csv")
    assert (code, out, err) == (0, "", "")
    found = pd.read_csv("found.csv")
    assert list(found) == ["prediction", "proba_1", "proba_2", "proba_3"]
    result = autometa.load(run)
    np.testing.assert_allclose(found.iloc[:, 1:], result.predict_proba(rows), atol=1e-6)
    assert found.prediction.tolist() == list(result.predict(rows))
    rows.iloc[::-1].to_csv("reversed.csv", index=False)
    code, out, _ = invoke("predict", run, "reversed.csv")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "prediction"
    assert [int(line) for line in lines[1:]] == found.prediction.tolist()[::-1]


def test_predict_reads_standard_input(folder, run):
    text = classification(5, classes=3, seed=7).to_csv(index=False)
    code, out, _ = invoke("predict", run, "-", input=text)
    assert code == 0
    assert len(out.splitlines()) == 6


def test_predict_says_what_is_missing_extra_or_unseen(folder, run):
    rows = classification(20, classes=3, seed=7).drop(columns="label")
    rows.rename(columns={"colour": "color"}).to_csv("new.csv", index=False)
    code, out, err = invoke("predict", run, "new.csv", "--out", "found.csv")
    assert (code, out) == (2, "")
    assert "'colour'" in err
    assert "'color'" in err
    rows.assign(extra=1, colour="mauve").to_csv("new.csv", index=False)
    code, out, err = invoke("predict", run, "new.csv")
    assert code == 0
    assert len(out.splitlines()) == 21
    warnings = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert any("extra" in w for w in warnings)
    assert any("colour" in w for w in warnings)
    assert sorted(p.name for p in folder.iterdir()) == ["new.csv", "table.csv"]


def test_probabilities_are_for_classes(folder):
    run = searched(folder / "run", regression(100))
    regression(10).to_csv("new.csv", index=False)
    code, out, err = invoke("predict", run, "new.csv", "--proba")
    assert (code, out) == (2, "")
    assert "--proba is for classes" in err
    code, out, _ = invoke("predict", run, "new.csv")
    assert code == 0
    assert [float(line) for line in out.splitlines()[1:]] == pytest.approx(
        autometa.load(run).predict(regression(10)), abs=1e-4
    )


def test_predictions_that_cannot_be_written_are_said(folder, run):
    code, out, err = invoke("predict", run, "table.csv", "--out", "no/such/folder.csv")
    assert (code, out) == (2, "")
    assert "cannot be written" in err
    assert [p.name for p in folder.iterdir()] == ["table.csv"]


def test_suggest_trains_nothing(folder):
    code, out, _ = invoke("suggest", "table.csv", "-k", "3", "--json")
    assert code == 0
    found = json.loads(out)
    assert len(found) == 3
    space = autometa.Space.load("tabular")
    for item in found:
        assert item["source"].startswith("portfolio")
        space.check(item["config"])
    code, out, _ = invoke("suggest", "table.csv", "-k", "3")
    assert code == 0
    assert [line[:3] for line in out.splitlines() if not line.startswith("    ")] == [" 1.", " 2.", " 3."]
    assert [p.name for p in folder.iterdir()] == ["table.csv"]


def test_report_is_written_anew(run):
    (run / "report.html").unlink(missing_ok=True)
    code, out, _ = invoke("report", run)
    assert (code, out) == (0, f"{run / 'report.html'}\n")
    assert "<html" in (run / "report.html").read_text()


def test_spaces(folder):
    assert invoke("spaces") == (0, "tabular\n", "")
    assert json.loads(invoke("spaces", "--json")[1]) == ["tabular"]
    code, out, _ = invoke("spaces", "tabular")
    assert code == 0
    assert "algorithm" in out
    found = json.loads(invoke("spaces", QUICK, "--json")[1])
    (algorithm,) = (p for p in found["parameters"] if p["name"] == "algorithm")
    assert algorithm["values"] == "linear, nearest_neighbours, lightgbm"


def test_doctor():
    code, out, _ = invoke("doctor")
    assert code == 0
    for word in ("torch", "memory", "ray"):
        assert word in out.lower()
    checks = json.loads(invoke("doctor", "--json")[1])
    assert all({"name"} <= set(check) for check in checks)


def test_version_and_help():
    assert invoke("--version") == (0, f"autometa {autometa.__version__}\n", "")
    code, out, err = invoke("--help")
    assert (code, err) == (0, "")
    for name in ("search", "resume", "predict", "suggest", "report", "spaces", "doctor", "learn"):
        assert name in out
        code, out_one, _ = invoke(name, "--help")
        assert code == 0
        assert "Usage" in out_one
