"""Whole searches on a cluster of several nodes, and what is left when a node, a worker or the search is killed."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from ray_clusters import LocalCluster

import autometa
from benchmarks.promise_kills import finished, lost
from benchmarks.promise_runs import command, environment, example_table

pytest.importorskip("ray", reason="Ray is not installed: pip install 'autometa[ray]'")
pytestmark = pytest.mark.slow
NODE = {"num_cpus": 2}
SLACK = 6.0  # seconds: all nodes and the search share the cores of one machine, with whatever else runs there


@pytest.fixture
def cluster(request):
    cluster = LocalCluster(**dict.fromkeys(getattr(request, "param", ["head", "beta", "gamma"]), NODE))
    yield cluster
    cluster.close()


class Search:
    """A search of the example table in a process of its own."""

    def __init__(self, folder, cluster, *options):
        self.path, self.log = folder / "run", folder / "log.txt"
        search = ["search", example_table(), "--ray", cluster.address, "--json", "--out", self.path]
        self.began = time.monotonic()
        self.process = self._spawn(*search, *options)

    def _spawn(self, *arguments):
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command(*arguments), env=environment(), stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )

    def until(self, trials):
        """Wait for so many finished trials."""
        while len(finished(self.path / "journal.log") if (self.path / "journal.log").exists() else {}) < trials:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() - self.began < 180
            time.sleep(0.05)

    def resume(self):
        self.process = self._spawn("resume", self.path, "--json")

    def result(self, seconds=240):
        """What it printed at its end."""
        out, _ = self.process.communicate(timeout=seconds)
        assert self.process.returncode == 0, self.log.read_text()
        return json.loads(out)

    @property
    def content(self):
        return json.loads((self.path / "run.json").read_text())

    @property
    def board(self):
        return pd.read_csv(self.path / "leaderboard.csv", keep_default_na=False)

    @property
    def nodes(self):
        return set(" ".join(self.board.node).split())


@pytest.fixture
def search(tmp_path, cluster):
    searches = []

    def begin(*options):
        searches.append(Search(tmp_path, cluster, *options))
        return searches[-1]

    yield begin
    for found in searches:
        found.process.kill()
        found.process.communicate()


def test_all_nodes_are_used_within_the_time(search):
    run = search("--time", "60s")
    result = run.result()
    assert time.monotonic() - run.began < 60 + SLACK
    assert result["executor"] == run.content["executor"] == "ray"
    assert run.content["nodes"] == ["beta", "gamma", "head"]
    assert run.nodes == {"head", "beta", "gamma"}
    assert result["failed_trials"] == 0
    names = {p.name for p in run.path.iterdir()}
    assert names == {
        *("run.json", "journal.log", "leaderboard.csv", "metrics.json", "model", "report.html", "report.json"),
    }
    assert len(autometa.load(run.path).predict(example_table())) == 569


def test_a_node_that_is_killed_costs_nothing_that_was_finished(search, cluster):
    run = search("--time", "90s")
    run.until(trials=4)
    before = finished(run.path / "journal.log")
    cluster.kill("gamma")
    result = run.result()
    assert time.monotonic() - run.began < 90 + SLACK
    after = finished(run.path / "journal.log")
    assert lost(before, after) == []
    assert len(after) > len(before)
    assert [e for e in run.board.error if "lost" in e] == []
    assert result["validation_score"] > 0.95
    assert "raylet" not in run.log.read_text()


def test_workers_that_are_killed_cost_nothing_that_was_finished(search, cluster):
    run = search("--time", "90s")
    run.until(trials=2)
    before = finished(run.path / "journal.log")
    for worker in cluster.workers()[:2]:
        worker.kill()
    run.result()
    assert lost(before, finished(run.path / "journal.log")) == []
    assert [e for e in run.board.error if "lost" in e] == []


def test_a_search_that_is_killed_goes_on_with_resume(search, cluster):
    run = search("--trials", 12, "--space", Path(__file__).with_name("quick.toml"), "--max-concurrent", 2)
    run.until(trials=3)
    workers = cluster.workers()
    run.process.send_signal(signal.SIGKILL)
    run.process.communicate()
    assert psutil.wait_procs(workers, timeout=60)[1] == []
    before = finished(run.path / "journal.log")
    assert len(before) < 12
    run.resume()
    assert run.result()["trials"] == 12
    after = finished(run.path / "journal.log")
    assert lost(before, after) == []
    assert sorted(after) == list(range(12))
    settings = run.content["settings"]
    assert (settings["ray"], settings["max_concurrent"], settings["workers"]) == (cluster.address, 2, 2)
    assert run.nodes <= {"head", "beta", "gamma"}


@pytest.mark.parametrize("cluster", [["head"]], indirect=True)
def test_a_node_that_joins_late_is_used(search, cluster):
    run = search("--time", "90s")
    run.until(trials=1)
    cluster.add("late", **NODE)
    run.result()
    assert run.nodes == {"head", "late"}
    assert run.content["nodes"] == ["head", "late"]
