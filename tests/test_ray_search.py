"""Searches on a Ray cluster of one machine: the same search, with another executor."""

import json
import subprocess
import tempfile
import time
from pathlib import Path

import pandas as pd
import pytest
from tables import classification

from benchmarks.promise_runs import command, environment, leaderboard

QUICK = Path(__file__).with_name("quick.toml")
pytest.importorskip("ray", reason="Ray is not installed: pip install 'autometa[ray]'")


@pytest.fixture
def alone(tmp_path):
    """An environment in which no cluster is running."""
    with tempfile.TemporaryDirectory(prefix="am-", dir="/tmp") as folder:
        yield {k: v for k, v in environment().items() if k != "RAY_ADDRESS"} | {"RAY_TMPDIR": folder}


def run(*arguments, env, seconds=120):
    return subprocess.run(command(*arguments), env=env, timeout=seconds, capture_output=True, text=True, check=False)


def test_a_cluster_is_started_here_and_the_search_is_the_same(tmp_path, alone):
    table = tmp_path / "table.csv"
    classification(200).to_csv(table, index=False)
    options = [table, "--trials", 4, "--space", QUICK, "--seed", 1, "--json"]
    done = run("search", *options, "--ray", "auto", "--max-concurrent", 2, "--out", tmp_path / "ray", env=alone)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)  # nothing of Ray's stands beside it
    assert said["executor"] == "ray"
    local = run("search", *options, "--workers", 2, "--out", tmp_path / "local", env=alone)
    assert local.returncode == 0, local.stderr
    here, there = leaderboard(tmp_path / "local"), leaderboard(tmp_path / "ray")
    assert set(here.node) == {""}
    assert len(set(there.node)) == 1
    pd.testing.assert_frame_equal(here.drop(columns="node"), there.drop(columns="node"))
    runs = [json.loads((tmp_path / name / "run.json").read_text()) for name in ("local", "ray")]
    assert [r["executor"] for r in runs] == ["local", "ray"]
    assert [r["nodes"] for r in runs] == [[], list(set(there.node))]
    files = [{p.relative_to(tmp_path / n) for p in (tmp_path / n).rglob("*")} for n in ("local", "ray")]
    assert files[0] == files[1]
    models = [
        {p.name: p.read_bytes() for p in (tmp_path / n / "model").rglob("*.safetensors")} for n in ("local", "ray")
    ]
    assert models[0] == models[1]
    assert models[0]


def test_a_cluster_that_nobody_answers_for_is_an_error_that_leaves_nothing(tmp_path, alone):
    classification(60).to_csv(tmp_path / "table.csv", index=False)
    began = time.monotonic()
    done = run("search", tmp_path / "table.csv", "--ray", "127.0.0.1:1", "--out", tmp_path / "run", env=alone)
    assert time.monotonic() - began < 15
    assert done.returncode == 2
    assert "nobody does at 127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "run").exists()
    assert list(Path(alone["RAY_TMPDIR"]).iterdir()) == []
