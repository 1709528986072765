"""Fits on the nodes of a real cluster: what is lost is done again, what hangs is ended, what comes late is used."""

import signal
import time

import numpy as np
import psutil
import pytest
from ray_clusters import LocalCluster

from autometa.errors import RunError
from autometa.search import ray_cluster, ray_crew, ray_executor
from autometa.search.node_folder import PREFIX
from autometa.search.ray_cluster import joined
from autometa.search.run_folder import trial_folder
from autometa.search.settings import Settings
from autometa.search.work import FitJob
from autometa.space import Space
from autometa.tables.splits import make_folds
from autometa.tables.table import Features, Table

pytest.importorskip("ray", reason="Ray is not installed: pip install 'autometa[ray]'")
pytestmark = pytest.mark.slow
PATIENCE = 240.0  # seconds; other programs may be busy beside the test


@pytest.fixture
def cluster():
    cluster = LocalCluster(head={"num_cpus": 1})
    yield cluster
    cluster.close()


@pytest.fixture
def work(tmp_path):
    """The work/ folder of a run with two classes that a line separates."""
    numbers = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    features = Features(numbers, np.zeros((400, 0), np.int32), (), ("a", "b"), ())
    table = Table(features, (numbers[:, 0] > 0).astype(np.int64), ("no", "yes"))
    table.save(tmp_path / "table")
    make_folds(table, k=2, repeats=1, seed=0).save(tmp_path / "folds")
    return tmp_path


@pytest.fixture
def begin(cluster):
    """Starts an executor on the cluster."""
    opened = []

    def begin(*, most=None, workers=1, **settings):
        connection = joined(Settings(data="x", ray=cluster.address, max_concurrent=most, **settings))
        executor = ray_executor.RayExecutor(connection.__enter__().cluster, most=most)
        opened.append((executor, connection))
        until_free(executor, workers)
        return executor

    yield begin
    for executor, connection in reversed(opened):  # the first one connected, and it disconnects
        executor.close()
        connection.__exit__(None, None, None)


def job(work, trial=0, algorithm="linear", **limits):
    config = Space.load("tabular").complete({"algorithm": algorithm})
    return FitJob(work=str(work), trial=trial, fold=0, config=config, metric="auc", seed=0, **limits)


def until_free(executor, count):
    until = time.monotonic() + PATIENCE
    while executor.free < count:
        assert executor.wait(0.2) == []
        assert time.monotonic() < until, f"{executor.free} workers are free"


def until_slots(executor, count):
    until = time.monotonic() + PATIENCE
    while executor.slots != count:
        assert executor.wait(0.2) == []
        assert time.monotonic() < until, f"{executor.slots} fits can run at a time"


def outcomes(executor, count=1):
    """Exactly so many outcomes, by trial."""
    found, until = {}, time.monotonic() + PATIENCE
    while len(found) < count:
        assert time.monotonic() < until, f"{count} outcomes expected, {len(found)} came"
        found |= {o.trial: o for o in executor.wait(0.2)}
    return found


def fits(worker):
    """The processes in which a worker's fits run: children of its fork server."""
    return [fit for server in worker.children() for fit in server.children()]


def running_fit(cluster, executor):
    """The one process that a fit runs in, when it has come."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found = [fit for worker in cluster.workers() for fit in fits(worker)]
        if found and found[0].cpu_times().user > 0.5:
            return found[0]
        assert executor.wait(0.05) == []
    pytest.fail("no fit is running")


def gone(processes):
    """Wait until processes have ended."""
    assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []


def test_a_fit_leaves_its_files_here(begin, work):
    executor = begin()
    executor.submit(job(work))
    assert executor.free == 0
    found = outcomes(executor)[0]
    assert found.error == ""
    assert found.score.loss < 0.1
    assert found.score.node == "head"
    assert {p.name for p in trial_folder(work, 0).iterdir()} == {"fold_0", "fold_0.npy", "fold_0.json"}
    assert executor.free == 1


def test_a_refit_has_its_own_rows(begin, work):
    executor = begin()
    np.save(work / "rows.npy", np.arange(40))
    executor.submit(job(work, rows=str(work / "rows.npy")))
    assert outcomes(executor)[0].score.loss < 0.2


def test_a_fit_that_hangs_is_stopped_and_its_worker_goes_on(begin, work, cluster):
    executor = begin()
    executor.submit(job(work, 0, "tabm", kill_after=20.0))
    running_fit(cluster, executor).send_signal(signal.SIGSTOP)
    assert outcomes(executor)[0].error == "stopped after 20.0 s, the time limit of a fit (on head)"
    before = {p.pid for p in cluster.workers()}
    executor.submit(job(work, 1))
    assert outcomes(executor)[1].score is not None
    assert {p.pid for p in cluster.workers()} == before


def test_a_fit_that_is_killed_fails_as_it_would_here(begin, work, cluster):
    executor = begin()
    executor.submit(job(work, 0, "tabm"))
    running_fit(cluster, executor).kill()
    assert "exit code -9" in outcomes(executor)[0].error
    executor.submit(job(work, 1))
    assert outcomes(executor)[1].score is not None


def test_a_fit_over_the_memory_of_its_node_is_stopped(begin, work, cluster, monkeypatch):
    monkeypatch.setattr(ray_cluster, "WORKER_MEMORY", 2**20)
    cluster.add("small", num_cpus=2, memory=2**21)
    executor = begin(cpus_per_trial=2)
    executor.submit(job(work, 0, "tabm"))
    assert outcomes(executor)[0].error == "stopped at its memory limit of 2 MB (on small)"


def test_a_fit_whose_worker_is_killed_is_done_again(begin, work, cluster):
    executor = begin()
    executor.submit(job(work, 0, "tabm"))
    running_fit(cluster, executor)
    (worker,) = cluster.workers()
    worker.kill()
    assert outcomes(executor)[0].score is not None
    assert worker.pid not in {p.pid for p in cluster.workers()}


def test_a_fit_that_loses_every_worker_fails(begin, work, cluster):
    executor = begin()
    executor.submit(job(work, 0, "tabm", kill_after=600.0))
    for _ in range(1 + ray_executor.RETRIES):
        running_fit(cluster, executor)
        workers = cluster.workers()
        for worker in workers:
            worker.kill()
        gone(workers)
    assert "its worker was lost 3 times" in outcomes(executor)[0].error


def test_workers_that_died_idle_cost_no_fit_its_chances(begin, work, cluster):
    cluster.add("beta", num_cpus=3)
    executor = begin(workers=4)
    for worker in cluster.workers():
        worker.kill()
    executor.submit(job(work))
    assert outcomes(executor)[0].score is not None


def test_a_worker_that_does_not_answer_is_given_up(begin, work, cluster, monkeypatch):
    monkeypatch.setattr(ray_executor, "GRACE", 2.0)
    executor = begin()
    executor.submit(job(work, 0))
    outcomes(executor)
    (worker,) = cluster.workers()
    worker.send_signal(signal.SIGSTOP)
    executor.submit(job(work, 1, kill_after=1.0))
    assert "did not answer" in outcomes(executor)[1].error
    worker.kill()  # Ray cannot ask it to go
    executor.submit(job(work, 2))
    assert outcomes(executor)[2].score is not None


def test_fits_of_a_lost_node_are_done_again_and_a_late_node_is_used(begin, work, cluster):
    cluster.add("beta", num_cpus=1)
    executor = begin(workers=2)
    for trial in range(2):
        executor.submit(job(work, trial, "tabm"))
    cluster.kill("beta")
    found = outcomes(executor, 2)
    assert {o.score.node for o in found.values()} == {"head"}
    until_slots(executor, 1)  # nodes are looked at every other second
    cluster.add("late", num_cpus=2)
    until_free(executor, 3)
    assert executor.slots == 3
    for trial in range(2, 5):
        executor.submit(job(work, trial))
    assert {o.score.node for o in outcomes(executor, 3).values()} == {"head", "late"}


def test_no_more_fits_run_than_were_asked_for_and_the_rest_waits_for_nodes(begin, work, cluster):
    cluster.add("beta", num_cpus=3)
    executor = begin(most=2, workers=2)
    assert (executor.slots, executor.free) == (2, 2)
    assert len(cluster.workers()) == 2
    more = begin(most=20, workers=2)  # the other one holds two places
    assert more.slots == 4
    assert sum(w.node is None for w in more._crew.workers) == 1  # what an autoscaler is to see


def test_stopping_ends_fits_and_their_workers_take_new_ones(begin, work, cluster):
    executor = begin()
    executor.submit(job(work, 0, "tabm"))
    fit, before = running_fit(cluster, executor), cluster.workers()
    began = time.monotonic()
    executor.stop()
    assert time.monotonic() - began < 0.5
    executor.submit(job(work, 1))
    assert outcomes(executor)[1].score is not None
    assert not fit.is_running()
    assert cluster.workers() == before


def test_each_worker_sees_its_own_gpu(begin, work, cluster):
    cluster.add("cards", num_cpus=8, num_gpus=2)
    executor = begin(workers=4, gpus_per_trial=0.5)
    assert executor.slots == 4
    for trial in range(4):
        executor.submit(job(work, trial, gpus=0.5))
    assert {o.score.node for o in outcomes(executor, 4).values()} == {"cards"}
    seen = [{fit.environ()["CUDA_VISIBLE_DEVICES"] for fit in fits(worker)} for worker in cluster.workers()]
    assert sorted(map(sorted, seen)) == [["0"], ["0"], ["1"], ["1"]]


def test_whole_gpus_are_nobody_elses(begin, work, cluster):
    cluster.add("cards", num_cpus=8, num_gpus=4)
    executor = begin(workers=2, gpus_per_trial=2)
    for trial in range(2):
        executor.submit(job(work, trial, gpus=2.0))
    outcomes(executor, 2)
    seen = [fit.environ()["CUDA_VISIBLE_DEVICES"] for worker in cluster.workers() for fit in fits(worker)]
    assert sorted(",".join(seen).split(",")) == ["0", "1", "2", "3"]


def test_nodes_with_another_version_are_named(begin, work, cluster, monkeypatch):
    monkeypatch.setattr(ray_crew, "__version__", "0.0.1")
    with pytest.raises(RunError, match=r"no node .* head: it has autometa .*, the search is of 0.0.1"):
        begin()


def test_a_cluster_without_any_worker_for_minutes_is_given_up(begin, cluster, monkeypatch):
    executor = begin()
    monkeypatch.setattr(ray_executor, "LONELY", 1.0)
    monkeypatch.setattr(executor._crew._cluster, "nodes", list)
    with pytest.raises(RunError, match="go on with autometa resume"):  # noqa: PT012 (it takes a while)
        for _ in range(30):
            executor.wait(0.2)


def test_table_and_folds_are_sent_once_to_a_node(begin, work, cluster, monkeypatch):
    import ray

    puts, real = [], ray.put
    monkeypatch.setattr(ray, "put", lambda value: puts.append(value) or real(value))
    executor = begin()
    executor.submit(job(work, 0))
    outcomes(executor)
    for name in ("table", "folds"):  # what comes later is read from the node's own copy
        for path in (work / name).iterdir():
            path.unlink()
    executor.submit(job(work, 1))
    assert outcomes(executor)[1].score is not None
    assert len(puts) == 1


def test_a_worker_leaves_nothing_in_the_temporary_folder(begin, work, cluster):
    executor = begin()
    executor.submit(job(work))
    outcomes(executor)
    assert len(list(cluster.folder.glob(f"{PREFIX}*/work"))) == 1
    executor.close()
    until = time.monotonic() + PATIENCE
    while list(cluster.folder.glob(f"{PREFIX}*")):
        assert time.monotonic() < until
        time.sleep(0.1)
