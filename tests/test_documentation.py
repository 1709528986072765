"""The blocks of the documentation run, one after the other, as a reader would run them."""

import json
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from pages import run_page
from tables import classification

from autometa.records.reading import read_collections

ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(Path(__file__).with_name("quick.toml"), "quick.toml")
    return tmp_path


@pytest.mark.parametrize("page", ["adaptation.md", "learned_policy.md", "optuna.md"])
def test_pages_of_python_run(page, folder):
    assert run_page(page)


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray Tune is not installed (extra 'ray')")
# Old versions of Ray leave files of their own open.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_sweeps_on_clusters_run(folder, monkeypatch):
    with tempfile.TemporaryDirectory(prefix="rd") as short:  # Ray's sockets have a longest path
        monkeypatch.setenv("RAY_TMPDIR", short)
        monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or older ones warn
        assert run_page("clusters.md", languages=("python",))  # the commands are for machines of a cluster


def test_a_csv_becomes_predictions(folder):
    table = (ROOT / "examples" / "data" / "wines.csv").read_text(encoding="utf-8")
    (folder / "wines.csv").write_text(table, encoding="utf-8")
    assert len(run_page("first_search.md")) == 6
    metrics = json.loads((folder / "runs" / "wines" / "metrics.json").read_text())
    assert metrics["metric"] == "rmse"
    assert metrics["trials"] > metrics["failed_trials"]


def test_own_runs_are_learned_from(folder, capsys):
    classification(150).to_csv("table.csv", index=False)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for storage, name in (("sqlite:///studies.db", "boosting"), (JournalStorage(JournalFileBackend("study.log")), "x")):
        optuna.create_study(storage=storage, study_name=name).optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=2)
    assert len(run_page("own_runs.md")) == 3
    assert "\nrun-" in f"\n{capsys.readouterr().out}"
    assert sum(len(c.names) for c in read_collections("prior")) == 3
