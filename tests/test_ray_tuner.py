"""ray_searcher in a plain Tuner on a cluster: a scheduler, trials that fail, a driver that dies and is restored."""

import json
import math
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("ray.tune", reason="Ray Tune is not installed (extra 'ray')")

import ray
from ray import tune

import autometa
from autometa.space import key
from tests.ray_sweeps import STEPS, WORKERS, a_searcher, cluster, replayed, steady, train

ROOT = Path(__file__).parents[1]
# Old versions of Ray leave files of their own open.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    """Ray saves after each result, so that a kill may come at any moment, and gives no hints."""
    monkeypatch.setenv("TUNE_GLOBAL_CHECKPOINT_S", "0")
    monkeypatch.setenv("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


def killed(folder, count, after):
    """Begin a sweep in a process of its own that is killed after so many trials."""
    address = ray.get_runtime_context().gcs_address
    driver = [sys.executable, "-m", "tests.ray_sweeps", address, folder, count, after]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    child = subprocess.run(
        [str(argument) for argument in driver], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert child.returncode == -signal.SIGKILL, child.stderr


def searcher_of(tuner):
    return tuner._local_tuner._tune_config.search_alg


@pytest.mark.slow
def test_a_sweep_with_asha_survives_failures_and_the_death_of_its_driver(tmp_path):
    count = 200
    with cluster(WORKERS):
        killed(tmp_path, count, count // 2)
        tuner = tune.Tuner.restore(str(tmp_path / "sweep"), train, resume_unfinished=True)
        results = tuner.fit()
    searcher = searcher_of(tuner)
    assert len(results) == count
    assert 0 < results.num_errors < count / 5
    assert results.num_errors + results.num_terminated == count

    runs = json.loads(max((tmp_path / "sweep").glob("searcher-state-*.json")).read_text(encoding="utf-8"))["sweep"][
        "runs"
    ]
    assert len(runs) == count
    assert Counter(run["state"] for run in runs.values())["running"] == 0
    history = searcher.searcher._sweep.task().history
    states = Counter(trial.state for trial in history)
    assert states["running"] == 0
    assert states["failed"] > results.num_errors  # those that ended with NaN as well
    assert all(math.isfinite(trial.loss) for trial in history if trial.state == "complete")
    ends = Counter(len(run["reports"]) for run in runs.values() if run["state"] == "stopped")
    assert ends[1] >= 10  # the scheduler did stop some
    assert ends[STEPS] >= 10  # and let others go to their end
    assert len({key(trial.config) for trial in history}) == count

    suggested = [told[0] for kind, _, *told in searcher.log if kind == "suggest"]
    assert len(suggested) == count
    assert replayed(searcher.log, a_searcher()) == suggested


def test_a_tuner_brings_space_metric_and_mode(tmp_path):
    space = {"rate": tune.loguniform(1e-4, 1.0), "algorithm": "net", "width": tune.choice([1, 2])}
    searcher = autometa.ray_searcher(seed=0, points_to_evaluate=[{"rate": 0.5, "width": 2}])
    with cluster(2):
        tuner = tune.Tuner(
            steady,
            param_space=space,
            tune_config=tune.TuneConfig(
                metric="loss",
                mode="min",
                search_alg=searcher,
                num_samples=6,
                max_concurrent_trials=2,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(name="sweep", storage_path=str(tmp_path), verbose=0),
        )
        results = tuner.fit()
    configs = [result.config for result in results]
    assert configs[0] == {"rate": 0.5, "algorithm": "net", "width": 2}
    assert all(config.keys() == space.keys() for config in configs)
    trials = searcher._sweep.task().history
    assert [trial.state for trial in trials].count("complete") == 6
    assert min(trial.loss for trial in trials) == results.get_best_result().metrics["loss"]
