"""The blocks of docs/own_runs.md run as they stand."""

import re
import shlex
import shutil
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from tables import classification
from typer.testing import CliRunner

from autometa.cli import app
from autometa.records.reading import read_collections

PAGE = (Path(__file__).parents[1] / "docs" / "own_runs.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What the page takes for granted: a table, and two storages of studies."""
    monkeypatch.chdir(tmp_path)
    classification(150).to_csv("table.csv", index=False)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for storage, name in (("sqlite:///studies.db", "boosting"), (JournalStorage(JournalFileBackend("study.log")), "x")):
        optuna.create_study(storage=storage, study_name=name).optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=2)
    return tmp_path


def test_the_page_runs(folder, capsys):
    assert len(BLOCKS) == 3
    shutil.copy(Path(__file__).with_name("quick.toml"), "quick.toml")
    for language, block in BLOCKS:
        if language == "python":
            exec(compile(block, "own_runs.md", "exec"), {})  # noqa: S102 (it is our own page)
            assert capsys.readouterr().out.startswith("run-")
            continue
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            assert words[0] == "autometa"
            # Quick learners stand in for all, so that the page is checked within seconds.
            more = ["--space", "quick.toml", "--workers", "1"] if words[1] == "search" else []
            result = CliRunner().invoke(app, [*words[1:], *more])
            assert result.exit_code == 0, f"{line}\n{result.output}"
    assert sum(len(c.names) for c in read_collections("prior")) == 3
