"""What a search on a cluster is made of, without a cluster."""

import contextlib
import fcntl
import json
import socket
import sys
import threading

import numpy as np
import pytest
import torch

from autometa.architectures.devices import training_device
from autometa.errors import InputError, MissingExtraError
from autometa.search import node_folder, ray_address, ray_cluster
from autometa.search.node_folder import PREFIX, NodeFolder
from autometa.search.parcel import pack, pack_inputs, unpack, unpack_inputs
from autometa.search.ray_cluster import Demand, joined
from autometa.search.records import FoldScore
from autometa.search.run_folder import trial_folder
from autometa.search.settings import Settings
from autometa.search.work import FitJob, FitOutcome, run_fit
from autometa.space import Space
from autometa.tables.learners import network
from autometa.tables.splits import make_folds
from autometa.tables.table import Features, Table


@pytest.fixture
def work(tmp_path):
    """The work/ folder of a run with two classes that a line separates."""
    numbers = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    features = Features(numbers, np.zeros((100, 0), np.int32), (), ("a", "b"), ())
    table = Table(features, (numbers[:, 0] > 0).astype(np.int64), ("no", "yes"))
    table.save(tmp_path / "here" / "table")
    make_folds(table, k=2, repeats=1, seed=0).save(tmp_path / "here" / "folds")
    return tmp_path / "here"


def contents(folder):
    """All files below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def fit(work, algorithm="linear"):
    config = Space.load("tabular").complete({"algorithm": algorithm})
    return run_fit(FitJob(work=str(work), trial=3, fold=1, config=config, metric="auc", seed=0))


# What travels


def test_the_files_of_a_fit_come_home_as_they_were(work, tmp_path):
    outcome = fit(work, "lightgbm")
    before = contents(trial_folder(work, 3))
    assert len(before) == 4
    parcel = pack(outcome, trial_folder(work, 3))
    assert contents(trial_folder(work, 3)) == {}
    home = trial_folder(tmp_path / "home", 3)
    unpack(parcel, home)
    assert contents(home) == before
    unpack(parcel, home)  # again, over what is there
    assert contents(home) == before
    assert {p.name for p in home.iterdir()} == {"fold_1", "fold_1.npy", "fold_1.json"}


def test_a_failed_fit_brings_a_reason_and_no_files(work, tmp_path):
    fit(work)
    parcel = pack(FitOutcome(3, 1, None, "bad luck"), trial_folder(work, 3))
    assert (parcel.predictions, parcel.model) == (b"", None)
    unpack(parcel, tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_table_and_folds_arrive_as_they_were(work, tmp_path):
    unpack_inputs(pack_inputs(work), tmp_path / "node")
    assert contents(tmp_path / "node") == contents(work)
    assert fit(tmp_path / "node").score.loss == fit(work).score.loss


def test_scores_of_runs_of_old_have_no_node():
    assert FoldScore(**json.loads('{"loss": 0.5, "seconds": 1.0}')).node == ""


# The folder on a node


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(node_folder.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path


def test_workers_of_a_node_share_a_folder_until_the_last_has_left(temporary):
    first, second = NodeFolder("a"), NodeFolder("a")
    filled = []
    for folder in (first, second):
        folder.fill(lambda work: filled.append(work.mkdir(exist_ok=True)) or (work / "x").write_text("1"))
    assert len(filled) == 1
    assert (second.work / "x").read_text() == "1"
    assert first.path.stat().st_mode & 0o077 == 0  # it holds somebody's data
    first.leave()
    assert second.work.exists()
    second.leave()
    assert list(temporary.iterdir()) == []


def test_what_killed_workers_left_goes_when_the_next_search_comes(temporary):
    left = temporary / f"{PREFIX}left"
    left.mkdir()
    (left / "lock").touch()
    held = NodeFolder("held")
    assert not left.exists()
    other = NodeFolder("other")
    assert held.path.exists()
    for folder in (held, other):
        folder.leave()


def test_a_folder_that_goes_as_a_worker_comes_is_made_anew(temporary, monkeypatch):
    first, real, calls = NodeFolder("a"), fcntl.flock, []

    def flock(handle, how):
        if how == fcntl.LOCK_SH and not calls:
            calls.append(how)
            first.leave()
        real(handle, how)

    monkeypatch.setattr(node_folder.fcntl, "flock", flock)
    second = NodeFolder("a")
    assert calls
    assert (second.path / "lock").exists()
    second.leave()


# Addresses


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:6379", "head:6379", "ray://head:10001", "[::1]:6379"])
def test_addresses_have_these_forms(address):
    ray_address.check_address(address)


@pytest.mark.parametrize("address", ["", "head", "head:0", "head:99999", "http://head:1", "a b:1", "head:", ":6379"])
def test_other_forms_of_addresses_are_refused(address):
    with pytest.raises(InputError, match="HOST:PORT"):
        ray_address.check_address(address)


@pytest.mark.parametrize(
    ("reply", "answers"),
    [(bytes([0, 0, 6, 4, 0, 0, 0, 0, 0]), True), (b"HTTP/1.1 400 Bad Request\r\n", False), (b"", False), (None, False)],
    ids=["grpc", "a dashboard", "closes", "silent"],
)
def test_only_what_speaks_as_ray_does_answers(reply, answers, monkeypatch):
    monkeypatch.setattr(ray_address, "ANSWER_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def serve():
            connection, _ = server.accept()
            with connection:
                if reply is None:
                    done.wait(10)
                else:
                    connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        assert ray_address.answers(f"127.0.0.1:{server.getsockname()[1]}") == answers
        done.set()
        thread.join()


def test_auto_is_the_cluster_that_ray_would_take(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert ray_address.running_cluster() is None
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1\n")
    assert ray_address.running_cluster() is None  # it was killed
    monkeypatch.setattr(ray_address, "answers", lambda address: address == "127.0.0.1:1")
    assert ray_address.running_cluster() == "127.0.0.1:1"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert ray_address.running_cluster() == "10.0.0.1:6379"
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert ray_address.running_cluster() == "127.0.0.1:1"


# Resources


@pytest.mark.parametrize(
    ("demand", "resources", "room"),
    [
        (Demand(1, 0), {"CPU": 4.0}, 4),
        (Demand(2, 0), {"CPU": 5.0}, 2),
        (Demand(1, 0), {}, 0),
        (Demand(1, 0.25), {"CPU": 16.0, "GPU": 2.0}, 8),
        (Demand(1, 0.4), {"CPU": 16.0, "GPU": 2.0}, 4),
        (Demand(1, 1 / 3), {"CPU": 16.0, "GPU": 1.0}, 3),
        (Demand(1, 2), {"CPU": 16.0, "GPU": 5.0}, 2),
        (Demand(1, 0.5), {"CPU": 16.0}, 0),
        (Demand(1, 0), {"CPU": 16.0, "memory": 2.0**30}, 4),
    ],
)
def test_a_node_has_room_for_so_many_fits(demand, resources, room):
    assert demand.room(resources) == room


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"gpus_per_trial": -1.0}, "a share of one"),
        ({"gpus_per_trial": 1.5}, "a share of one"),
        ({"gpus_per_trial": float("nan")}, "a share of one"),
        ({"cpus_per_trial": 0}, "at least 1"),
        ({"max_concurrent": 0}, "at least 1 trial"),
        ({"ray": "nowhere"}, "HOST:PORT"),
    ],
    ids=str,
)
def test_values_that_no_cluster_takes_are_refused(change, says):
    with pytest.raises(InputError, match=says):
        Settings(**({"data": "x", "ray": "auto"} | change))


@pytest.mark.parametrize("change", [{"gpus_per_trial": 0.5}, {"cpus_per_trial": 2}, {"max_concurrent": 3}], ids=str)
def test_options_of_a_cluster_need_one(change):
    with pytest.raises(InputError, match="--ray auto"):
        Settings(data="x", **change)


def test_a_search_on_a_cluster_without_ray_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(MissingExtraError, match=r"pip install 'autometa\[ray\]'"),
        joined(Settings(data="x", ray="auto")),
    ):
        pass


def test_a_node_is_named_so_that_no_other_has_its_name():
    class Ray:
        @staticmethod
        def nodes():
            some = {"Alive": True, "Resources": {"CPU": 2.0, "memory": 2.0**32}, "NodeName": "10.0.0.1"}
            return [
                some | {"NodeID": "a", "NodeManagerPort": 1},
                some | {"NodeID": "b", "NodeManagerPort": 2},
                some | {"NodeID": "c", "NodeManagerPort": 3, "NodeName": "gamma"},
                some | {"NodeID": "d", "NodeManagerPort": 4, "NodeName": "delta", "Alive": False},
                some | {"NodeID": "e", "NodeManagerPort": 5, "NodeName": "epsilon", "Resources": {"CPU": 1.0}},
            ]

    nodes = ray_cluster.Cluster(Ray, Demand(2, 0), "x").nodes()
    assert [n.name for n in nodes] == ["10.0.0.1:1", "10.0.0.1:2", "gamma"]
    assert {(n.room, n.memory) for n in nodes} == {(1, 2**32)}


# GPUs


def test_a_network_trains_on_the_gpu_it_was_given(monkeypatch):
    shares = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share, _: shares.append(share))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: shares.append("emptied"))
    with training_device(0.25) as device:
        assert device == torch.device("cuda", 0)
    with training_device(2.0):
        pass
    assert shares == [0.25, "emptied", 1.0, "emptied"]
    with training_device(0.0) as device:
        assert device.type == "cpu"


def test_a_network_trains_on_the_cpu_where_torch_sees_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with training_device(0.5) as device:
        assert device.type == "cpu"


def test_a_fit_that_runs_out_of_gpu_memory_fails_with_that_reason_and_frees_the_card(work, monkeypatch):
    freed = []

    @contextlib.contextmanager
    def card(gpus):
        assert gpus == 0.5
        try:
            yield torch.device("cpu")
        finally:
            freed.append("freed")

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(network, "training_device", card)
    monkeypatch.setattr(network, "train", full)
    config = Space.load("tabular").complete({"algorithm": "network"})
    outcome = run_fit(FitJob(work=str(work), trial=0, fold=0, config=config, metric="auc", seed=0, gpus=0.5))
    assert outcome.score is None
    assert outcome.error.startswith("OutOfMemoryError: CUDA out of memory")
    assert freed == ["freed"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
@pytest.mark.parametrize("algorithm", ["network", "tabm"])
def test_a_network_from_a_gpu_predicts_on_the_cpu(work, algorithm):
    config = Space.load("tabular").complete({"algorithm": algorithm})
    job = FitJob(work=str(work), trial=0, fold=0, config=config, metric="auc", seed=0, gpus=0.5)
    before = torch.cuda.max_memory_allocated()
    assert run_fit(job).score.loss < 0.1
    assert torch.cuda.max_memory_allocated() > before
