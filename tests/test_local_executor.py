"""Fits in real worker processes: what hangs, grows or dies is an outcome, and nobody is left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from tables import classification

import autometa
from autometa.search.local import LocalExecutor
from autometa.search.work import FitJob
from autometa.space import Space
from autometa.tables.splits import make_folds
from autometa.tables.table import Features, Table
from autometa.workers import fork_server  # noqa: F401 (the script below takes it from here)

ROOT = Path(__file__).resolve().parent.parent
QUICK = """\
extends = "tabular"
[parameters.algorithm]
choices = ["linear", "nearest_neighbours", "lightgbm"]
"""


@pytest.fixture(scope="module")
def executor():
    executor = LocalExecutor(slots=2)
    yield executor
    executor.stop()


@pytest.fixture
def work(tmp_path):
    """The work/ folder of a run with two classes that a line separates."""
    numbers = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    features = Features(numbers, np.zeros((100, 0), np.int32), (), ("a", "b"), ())
    table = Table(features, (numbers[:, 0] > 0).astype(np.int64), ("no", "yes"))
    table.save(tmp_path / "table")
    make_folds(table, k=2, repeats=1, seed=0).save(tmp_path / "folds")
    return tmp_path


@pytest.fixture
def stuck(tmp_path_factory):
    """A work/ folder whose table never comes: reading a pipe that nobody writes to waits for ever."""
    folder = tmp_path_factory.mktemp("stuck")
    (folder / "table").mkdir()
    os.mkfifo(folder / "table" / "table.json")
    return folder


def job(folder, trial=0, **limits):
    config = Space.load("tabular").complete({"algorithm": "linear"})
    return FitJob(work=str(folder), trial=trial, fold=0, config=config, metric="auc", seed=0, **limits)


def outcomes(executor, count=1, seconds=30.0):
    """Exactly so many outcomes, by trial."""
    found, until = {}, time.monotonic() + seconds
    while len(found) < count:
        assert time.monotonic() < until, f"{count} outcomes expected, {len(found)} came"
        found |= {o.trial: o for o in executor.wait(0.2)}
    return found


def workers():
    """Processes that the fork server of this process made."""
    servers = [p for p in psutil.Process().children() if "forkserver" in " ".join(p.cmdline())]
    return [worker for server in servers for worker in server.children()]


def gone(processes, seconds=5.0):
    """Whether all processes end in time; one that only waits for its parent to notice has ended."""
    until = time.monotonic() + seconds
    while any(_lives(p) for p in processes):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def _lives(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_fit_leaves_its_score_and_its_model(executor, work):
    executor.submit(job(work, memory=2**31, kill_after=30.0))
    assert executor.free == 1
    found = outcomes(executor)[0]
    assert found.error == ""
    assert found.score.loss < 0.1
    names = {p.name for p in (work / "trials" / "00000").iterdir()}
    assert names == {"fold_0", "fold_0.npy", "fold_0.json"}
    assert executor.free == 2


def test_a_fit_that_takes_too_long_is_stopped_and_the_pool_goes_on(executor, work, stuck):
    executor.submit(job(stuck, 0, kill_after=0.5))
    executor.submit(job(work, 1))
    assert outcomes(executor)[1].score is not None
    started = time.monotonic()
    assert outcomes(executor)[0].error == "stopped after 0.5 s, the time limit of a fit"
    assert time.monotonic() - started < 2.0
    executor.submit(job(work, 2))
    executor.submit(job(work, 3))
    assert all(o.score is not None for o in outcomes(executor, 2).values())


def test_a_fit_over_its_memory_is_stopped_and_the_pool_goes_on(executor, work, stuck):
    executor.submit(job(stuck, 0, memory=2**20))
    assert outcomes(executor)[0].error == "stopped at its memory limit of 1 MB"
    executor.submit(job(work, 1))
    assert outcomes(executor)[1].score is not None


def test_an_idle_worker_is_not_held_to_the_limit_of_its_last_fit(executor, work):
    executor.submit(job(work, 0, memory=2**31))
    executor.submit(job(work, 1, memory=2**31))
    outcomes(executor, 2)
    before = {p.pid for p in workers()}
    for trial in (2, 3):  # over their limit, but over before anybody looks
        executor.submit(job(work, trial, memory=2**20))
        outcomes(executor)
    time.sleep(0.3)
    executor.submit(job(work, 4))
    assert outcomes(executor)[4].score is not None
    assert len(before) == 2


def test_a_killed_worker_costs_one_fit(executor, work, stuck):
    executor.submit(job(stuck, 0))
    time.sleep(0.3)
    executor.submit(job(work, 1))
    assert outcomes(executor)[1].score is not None
    for worker in workers():
        worker.kill()
    assert "exit code -9" in outcomes(executor)[0].error
    executor.submit(job(work, 2))
    assert outcomes(executor)[2].score is not None


def test_workers_killed_while_idle_are_replaced(executor, work):
    executor.submit(job(work, 0))
    outcomes(executor)
    for worker in workers():
        worker.kill()
    # The pool learns of it in its own time: before that, the next fit would be lost with the workers.
    deadline = time.monotonic() + 10
    while executor._pool._pool.active and time.monotonic() < deadline:
        time.sleep(0.05)
    executor.submit(job(work, 1))
    assert outcomes(executor)[1].score is not None


def test_stopping_ends_fits_at_once_and_the_next_one_starts_anew(executor, work, stuck):
    executor.submit(job(stuck, 0))
    time.sleep(0.5)
    ended, started = workers(), time.monotonic()
    executor.stop()
    assert time.monotonic() - started < 1.0
    assert gone(ended, 0.5)
    assert executor.free == 2
    executor.submit(job(work, 1))
    assert outcomes(executor)[1].score is not None


def _heed_interrupts():
    # A shell starts its background jobs with Ctrl-C ignored, and they hand that on.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def python(*arguments, **options):
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=env,
        start_new_session=True,
        text=True,
        preexec_fn=_heed_interrupts,  # noqa: PLW1509 (one call, no threads)
        **options,
    )


def group(leader):
    """The living processes of a group."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == leader and _lives(process):
                found.append(process)
        except ProcessLookupError:
            continue
    return found


def test_workers_end_when_the_search_dies(stuck, tmp_path):
    script = tmp_path / "dies.py"
    script.write_text(
        f"import psutil, sys, time; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_local_executor import LocalExecutor, fork_server, job\n"
        "fork_server.LIBRARIES.clear()  # nothing is fitted\n"
        "executor = LocalExecutor(slots=2)\n"
        f"executor.submit(job({str(stuck)!r}))\n"
        "while len(psutil.Process().children(recursive=True)) < 4:\n"  # tracker, fork server, two workers
        "    time.sleep(0.02)\n"
        "print('running', flush=True); time.sleep(60)\n"
    )
    with python(script, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == "running\n"
        left = group(process.pid)
        assert len(left) == 5
        process.kill()
        assert gone(left, 10.0)  # although nobody has waited for it yet: a zombie is dead, too


def test_a_script_without_a_main_guard_runs_once(tmp_path):
    (tmp_path / "quick.toml").write_text(QUICK)
    classification(120).to_csv(tmp_path / "table.csv", index=False)
    script = tmp_path / "script.py"
    script.write_text(
        "import autometa, pandas\n"
        "open('body.txt', 'a').write('once ')\n"
        "found = autometa.search(pandas.read_csv('table.csv'), trials=2, space='quick.toml', workers=2, out='run')\n"
        "print(found.metrics['executor'], found.metrics['trials'], found.metrics['failed_trials'])\n"
    )
    with python(script, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.communicate(timeout=60)[0] == "local 2 0\n"
    assert process.returncode == 0
    assert (tmp_path / "body.txt").read_text() == "once "


def test_ctrl_c_before_the_first_trial_is_quiet(tmp_path):
    classification(120).to_csv(tmp_path / "table.csv", index=False)
    search = ["search", tmp_path / "table.csv", "--trials", 2, "--out", tmp_path / "run"]
    with python("-m", "autometa", *search, stderr=subprocess.PIPE) as process:
        until = time.monotonic() + 60
        while not psutil.Process(process.pid).children():
            assert time.monotonic() < until
            time.sleep(0.02)
        time.sleep(0.3)  # libraries are being loaded, here and in the fork server
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode in (130, -signal.SIGINT)  # shells show both as 130
    assert "Traceback" not in said
    assert gone(group(process.pid), 2.0)


def test_ctrl_c_keeps_the_best_model_and_resume_goes_on(tmp_path):
    (tmp_path / "quick.toml").write_text(QUICK)
    table, run = tmp_path / "table.csv", tmp_path / "run"
    classification(120).to_csv(table, index=False)
    search = ["search", table, "--trials", 12, "--space", tmp_path / "quick.toml", "--out", run, "--workers", 2]
    with python("-m", "autometa", *search, stderr=subprocess.PIPE) as process:
        until = time.monotonic() + 60
        while not (run / "model" / "model.json").exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "autometa resume" in said
    assert "Traceback" not in said
    assert gone(group(process.pid), 2.0)
    before = json.loads((run / "metrics.json").read_text())["trials"]
    assert before < 12
    assert len(autometa.load(run).predict(table)) == 120
    with python("-m", "autometa", "resume", run, "--json", stdout=subprocess.PIPE) as process:
        assert json.loads(process.communicate(timeout=60)[0])["trials"] == 12
    assert gone(group(process.pid), 2.0)
