"""The run folder: one writer, whole files, clear refusals."""

import json
import subprocess
import sys
import threading

import pytest

from autometa.errors import RunError
from autometa.search.run_folder import FORMAT, RunFolder


def test_a_new_folder_is_locked_until_it_is_let_go(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    folder.write_run({})
    probe = (
        "import sys; from pathlib import Path; from autometa.search.run_folder import RunFolder\n"
        "RunFolder.open(Path(sys.argv[1])).lock()"
    )
    command = [sys.executable, "-c", probe, str(folder.path)]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "another search is writing" in refused.stderr
    folder.unlock()
    assert subprocess.run(command, check=False).returncode == 0


def test_a_folder_with_content_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="new or empty"):
        RunFolder.create(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(RunError, match="new or empty"):
        RunFolder.create(tmp_path / "run")


@pytest.mark.parametrize("content", [None, "", "[]", "{}", json.dumps({"format": FORMAT + 1})])
def test_what_is_no_run_folder_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunError):
        RunFolder.open(tmp_path)


def test_a_write_replaces_the_whole_file(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    folder.write_json(folder.metrics, {"a": 1})
    folder.write_json(folder.metrics, {"b": 2})
    assert folder.read_json(folder.metrics) == {"b": 2}
    assert [p.name for p in folder.path.iterdir() if p.suffix == ".tmp"] == []
    folder.unlock()


def test_what_was_killed_before_it_had_begun_is_no_content(tmp_path):
    (tmp_path / ".lock").write_text("")
    (tmp_path / "work" / "table").mkdir(parents=True)
    (tmp_path / "run.json.tmp").write_text('{"format"')
    folder = RunFolder.create(tmp_path)
    folder.write_run({})
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "run.json"]
    folder.unlock()


def test_a_run_whose_work_was_being_removed_is_complete(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    (folder.work / "table").mkdir(parents=True)
    folder.write_run({})
    folder.work.replace(folder.path / ".work")  # and then the process was killed
    folder.unlock()
    again = RunFolder.open(folder.path)
    again.lock()
    assert sorted(p.name for p in again.path.iterdir()) == [".lock", "run.json"]
    again.unlock()


def test_a_lock_file_that_its_owner_removed_locks_nobody_out(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    waiting = RunFolder(folder.path)
    held = threading.Timer(0.3, folder.unlock)
    held.start()
    waiting.lock()
    held.join()
    assert (folder.path / ".lock").exists()
    with pytest.raises(RunError, match="another search"):
        RunFolder(folder.path).lock()
    waiting.unlock()
