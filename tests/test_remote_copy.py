"""A copy of a run at an address: the same files, whole at every moment, and enough to go on elsewhere."""

import gc
import json
import shutil
import signal
import time
from pathlib import Path

import fsspec
import pytest
from killed_runs import QUICK, Killed, KilledAfter, quick_search
from tables import classification

import autometa
from autometa.errors import InputError, MissingExtraError, RunError
from autometa.search import remote_copy
from autometa.search.api import resume
from autometa.search.remote_copy import MANIFEST, RemoteCopy, fetch, is_address
from benchmarks.promise_kills import finished, lost
from benchmarks.promise_runs import call, command, spawn


class Silent:
    """Keeps what it is told."""

    def __init__(self):
        self.said, self.warned = [], []

    def update(self, status):
        pass

    def say(self, message):
        self.said.append(message)

    def warn(self, finding):
        self.warned.append(finding)

    def close(self):
        pass


@pytest.fixture
def address(tmp_path, monkeypatch):
    """An address in memory that nobody else has, and a folder of one's own to search in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(remote_copy, "PERIOD", 0.05)
    yield f"memory://{tmp_path.name}/run"
    fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


def files(address):
    system, root = fsspec.core.url_to_fs(address)
    return {name[len(root) + 1 :]: system.cat_file(name) for name in system.find(root)}


def here(path):
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_a_finished_run_and_its_copy_are_the_same_files(address):
    watcher = Silent()
    result = quick_search(address, watcher=watcher, trials=4)
    assert result.path.parent == Path("runs")
    copy = files(address)
    manifest = json.loads(copy.pop(MANIFEST))
    assert copy == here(result.path)
    assert manifest["files"] == {name: len(content) for name, content in copy.items()}
    assert manifest["writer"] is None
    assert any(address in message for message in watcher.said)
    rows = classification(20, seed=1)
    assert (autometa.load(address).predict(rows) == result.predict(rows)).all()
    model = autometa.load(address).model
    gc.collect()
    assert (model.predict_raw(rows)[0] == result.model.predict_raw(rows)[0]).all()


def test_a_killed_run_goes_on_elsewhere_from_its_copy(address, tmp_path):
    whole = quick_search(f"{address}-whole", trials=6)
    with pytest.raises(Killed):
        quick_search(address, executor=KilledAfter(9), trials=6)
    (lost_folder,) = (p for p in Path("runs").iterdir() if p.resolve() != whole.path.resolve())
    shutil.rmtree(lost_folder)
    result = resume(address)
    columns = ["trial", "state", "loss", "folds", "weight"]
    assert result.leaderboard[columns].equals(whole.leaderboard[columns])
    assert result.path.is_dir()
    assert set(files(address)) == {*here(result.path), MANIFEST}
    again = resume(address)  # nothing is left to do
    assert again.leaderboard.equals(result.leaderboard)


def test_a_copy_holds_all_that_its_scores_and_journal_name(address, tmp_path, monkeypatch):
    """Each state that was ever named is fetched, and gone on with."""
    states = []
    send = RemoteCopy._send

    def kept(self, place, *, writing):
        send(self, place, writing=writing)
        states.append(files(address))

    monkeypatch.setattr(RemoteCopy, "_send", kept)
    whole = quick_search(address, trials=6).leaderboard
    at_work = [s for s in states if any(name.startswith("work/") for name in s)]
    assert len(at_work) > 2
    for number, state in enumerate(at_work):
        manifest = json.loads(state[MANIFEST])["files"]
        assert all(len(state[name]) == size for name, size in manifest.items() if not name.startswith("model"))
        scored = [name for name in manifest if name.startswith("work/trials") and name.endswith(".json")]
        scored = [name for name in scored if name.count("/") == 3]
        assert all(name.removesuffix(".json") + ".npy" in manifest for name in scored)
        model = json.loads(state["model/model.json"]) if "model/model.json" in state else {"members": []}
        for fold in (fold for member in model["members"] for fold in member["folds"]):
            assert any(name.startswith(f"model/{fold}/") for name in state)
        if number in (1, len(at_work) // 2):
            again = f"{address}-{number}"
            system, root = fsspec.core.url_to_fs(again)
            state[MANIFEST] = json.dumps({"writer": None, "files": manifest}).encode()
            for name, content in state.items():
                system.pipe_file(f"{root}/{name}", content)
            resumed = resume(again).leaderboard
            assert sorted(resumed.trial) == sorted(whole.trial)


@pytest.mark.slow
def test_a_search_killed_by_force_goes_on_elsewhere(tmp_path, monkeypatch):
    table, log = tmp_path / "table.csv", tmp_path / "log.txt"
    classification(1200).to_csv(table, index=False)
    address = f"file://{tmp_path}/far/run"
    copy = tmp_path / "far" / "run"
    options = ["--trials", 30, "--space", QUICK, "--workers", 2, "--quiet", "--out", address]
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "one")
    with spawn(command("search", table, *options), log=log) as process:
        until = time.monotonic() + 90
        while not (copy / MANIFEST).exists() or len(finished(copy / "journal.log")) < 2:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until
            time.sleep(0.05)
    assert process.returncode == -signal.SIGKILL
    before = finished(copy / "journal.log")
    monkeypatch.chdir(tmp_path / "other")
    shutil.rmtree(tmp_path / "one")
    call(command("resume", address, "--quiet"), log=log)
    (run,) = (tmp_path / "other" / "runs").iterdir()
    after = finished(run / "journal.log")
    assert lost(before, after) == []
    assert sorted(after) == list(range(30))
    assert here(run) == {name: content for name, content in files(address).items() if name != MANIFEST}


def test_an_address_that_is_taken_is_refused(address):
    fsspec.filesystem("memory").pipe_file(address.removeprefix("memory:/") + "/mine.txt", b"mine")
    with pytest.raises(RunError, match="needs a new or empty address"):
        quick_search(address)
    assert not Path("runs").exists()
    with pytest.raises(RunError, match="holds a copy"):
        resume(address)


def test_unknown_addresses_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="kind that fsspec knows"):
        quick_search("nonsense://a/b")
    with pytest.raises((MissingExtraError, InputError), match="package"):
        quick_search("oci://a/b")
    assert not Path("runs").exists()
    assert is_address("s3://a/b")
    assert not is_address(tmp_path)


def test_a_run_that_is_written_elsewhere_is_left_alone(address):
    with pytest.raises(Killed):
        quick_search(address, executor=KilledAfter(5), trials=4)
    system, root = fsspec.core.url_to_fs(address)
    manifest = json.loads(system.cat_file(f"{root}/{MANIFEST}"))
    for host, at, refused in (("elsewhere", 0, True), ("elsewhere", 3600, False)):
        writer = {"host": host, "pid": 1, "at": time.time() - at}
        system.pipe_file(f"{root}/{MANIFEST}", json.dumps(manifest | {"writer": writer}).encode())
        if refused:
            with pytest.raises(RunError, match="a search on elsewhere wrote to"):
                resume(address)
        else:
            assert len(resume(address).leaderboard) == 4


def test_a_copy_that_names_files_outside_is_refused(address, tmp_path):
    system, root = fsspec.core.url_to_fs(address)
    for name in ("../x", "/etc/x", "a/../../x"):
        system.pipe_file(f"{root}/{MANIFEST}", json.dumps({"writer": None, "files": {name: 1}}).encode())
        with pytest.raises(RunError, match="lie below its address"):
            fetch(address, tmp_path / "fetched")
    system.pipe_file(f"{root}/{MANIFEST}", b"[1]")
    with pytest.raises(RunError, match="damaged"):
        fetch(address, tmp_path / "fetched")


def test_an_address_that_fails_costs_the_copy_and_nothing_else(address, monkeypatch):
    watcher = Silent()

    def broken(self, contents):
        raise OSError("no route to host")

    monkeypatch.setattr(remote_copy._Place, "pipe", broken)
    with pytest.raises(RunError, match=r"whole in runs/.* but its copy at memory.* is not: no route to host"):
        quick_search(address, watcher=watcher, trials=4)
    (run,) = Path("runs").iterdir()
    assert len(autometa.load(run).leaderboard) == 4
    assert [w.code for w in watcher.warned].count("copy-behind") == 1
