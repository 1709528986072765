"""A search that is killed loses nothing that was finished; more kills: `python -m benchmarks.promises kills`."""

import signal
import time
from pathlib import Path

import pytest
from tables import classification

import autometa
from benchmarks.promise_kills import MOMENTS, finished, lost, run_kill, setting, tear, use_model, wait_for_orphans
from benchmarks.promise_runs import call, command, spawn

QUICK = Path(__file__).with_name("quick.toml")


def test_what_was_finished_at_a_kill_is_finished_after_resume(tmp_path):
    table, run, log = tmp_path / "table.csv", tmp_path / "run", tmp_path / "log.txt"
    classification(1200).to_csv(table, index=False)
    options = ["--trials", 8, "--space", QUICK, "--workers", 2, "--quiet"]
    with spawn(command("search", table, *options, "--out", run), log=log) as process:
        until = time.monotonic() + 60
        while not (run / "model" / "model.json").exists() or len(finished(run / "journal.log")) < 2:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until
    assert process.returncode == -signal.SIGKILL
    assert wait_for_orphans(process.pid) < 5.0
    before = finished(run / "journal.log")
    assert 2 <= len(before) < 8
    assert tear(run / "journal.log", seed=0)
    assert use_model(run, table) == (True, "")
    call(command("resume", run, "--quiet"), log=log)
    after = finished(run / "journal.log")
    assert lost(before, after) == []
    assert sorted(after) == list(range(8))
    assert sorted(autometa.load(run).leaderboard.trial) == list(range(8))
    assert use_model(run, table) == (True, "")


@pytest.fixture(scope="module", params=["trials", "time"])
def searched(request, tmp_path_factory):
    """A search of a small table with repeated folds, which was not killed."""
    folder = tmp_path_factory.mktemp(request.param)
    classification(300).to_csv(folder / "table.csv", index=False)
    limit = {"trials": ["--trials", "12"], "time": ["--time", "25s"]}[request.param]
    return setting(folder / "table.csv", QUICK, [*limit, "--workers", "2", "--seed", "1"], request.param, folder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MOMENTS)
def test_no_moment_of_a_kill_loses_anything(searched, kind, tmp_path):
    for seed in range(20):
        found = run_kill(0, kind, searched, folder=tmp_path, version="", seed=seed)
        if found is not None:
            assert found.broken == ""
            return
    pytest.fail(f"the search ended 20 times before its moment ({kind}) came")
