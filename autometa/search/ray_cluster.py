"""A Ray cluster, joined or started for one search: its nodes and how many fits each has room for."""

from __future__ import annotations

import contextlib
import logging
import os
import time
import warnings
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from autometa.errors import InputError, MissingExtraError
from autometa.search.ray_address import AUTO, answers, running_cluster
from autometa.search.resources import granted_cores
from autometa.search.settings import WORKER_MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autometa.search.settings import Settings

STORE_SHARE = 0.1  # of the memory granted, for the object store of a cluster that is started here
STORE_LEAST = 100 * 2**20
# What Ray prints of lost workers and nodes, on standard output and whatever else is asked of its logs.
LOSSES = "A worker died|Raylet is terminated|The node with node id|cannot be scheduled right now"
STEP = 1e-4  # Ray counts resources in steps of this size


@dataclass(frozen=True)
class Demand:
    """What one fit takes of a node: whole cores, and a share of a GPU or some whole ones."""

    cpus: int
    gpus: float

    def room(self, resources: dict[str, float]) -> int:
        """How many fits a node of these resources does at a time."""
        room = int(resources.get("CPU", 0.0)) // self.cpus
        if self.gpus >= 1:
            room = min(room, int(resources.get("GPU", 0.0) // self.gpus))
        elif self.gpus > 0:
            # A share comes from one GPU: what is left of two does not make a third.
            room = min(room, int(resources.get("GPU", 0.0)) * int(1 / self.gpus + STEP))
        if "memory" in resources:
            room = min(room, max(1, int(resources["memory"] // WORKER_MEMORY)))
        return room

    def __str__(self) -> str:
        gpus = f" and {self.gpus:g} GPU{'s' if self.gpus > 1 else ''}" if self.gpus else ""
        return f"{self.cpus} CPU{'s' if self.cpus > 1 else ''}{gpus}"


@dataclass(frozen=True)
class Node:
    """A living node.

    Attributes:
        id: Ray's.
        name: for people; no other node has it.
        room: fits that it does at a time.
        memory: bytes that each of these may use.
    """

    id: str
    name: str
    room: int
    memory: int


class Cluster:
    """The cluster that this process is connected to.

    Args:
        ray: the package.
        demand: what one fit takes.
        address: for people.
    """

    def __init__(self, ray: ModuleType, demand: Demand, address: str) -> None:
        self.ray, self.demand, self.address = ray, demand, address
        self._names: dict[str, str] = {}

    def nodes(self) -> list[Node]:
        """The living nodes that have room for a fit."""
        found = [node for node in self.ray.nodes() if node["Alive"]]
        named = [node["NodeName"] for node in found]
        nodes = []
        for node in found:
            resources, name = node["Resources"], node["NodeName"]
            if named.count(name) > 1:
                name = f"{name}:{node['NodeManagerPort']}"
            name = self._names.setdefault(node["NodeID"], name)
            room = self.demand.room(resources)
            if room:
                memory = int(resources.get("memory", 0.0)) // room
                nodes.append(Node(node["NodeID"], name, room, max(WORKER_MEMORY, memory)))
        return sorted(nodes, key=lambda node: node.name)

    @property
    def resources(self) -> str:
        """All that the nodes have, for people."""
        total = {"CPU": 0.0, "GPU": 0.0}
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        for resources in nodes:
            for name in total:
                total[name] += resources.get(name, 0.0)
        return f"{len(nodes)} node{'s' * (len(nodes) != 1)} with {total['CPU']:g} CPUs and {total['GPU']:g} GPUs"


@dataclass(frozen=True)
class Joined:
    """A cluster, and the seconds that starting it took: none where it was running."""

    cluster: Cluster
    starting: float


@contextlib.contextmanager
def joined(settings: Settings) -> Iterator[Joined]:
    """Connect to the cluster that the settings name; with "auto" and none running, start one here.

    A connection that this process already has is used, and kept.

    Raises:
        InputError: nobody answers there, or no node has room for a trial.
        MissingExtraError: Ray is not installed.
    """
    ray = _ray()
    demand = Demand(settings.cpus_per_trial, settings.gpus_per_trial)
    if ray.is_initialized():
        yield Joined(Cluster(ray, demand, ray.get_runtime_context().gcs_address), 0.0)
        return
    assert settings.ray is not None
    address = running_cluster() if settings.ray == AUTO else settings.ray
    began = time.monotonic()
    try:
        if address is None:
            _start(ray, settings)
        else:
            _connect(ray, address)
        starting = time.monotonic() - began if address is None else 0.0
        cluster = Cluster(ray, demand, address or "this machine")
        if not cluster.nodes():
            raise InputError(
                f"a trial takes {demand}, and no node has as much: the cluster has {cluster.resources}; "
                f"give lower --cpus-per-trial or --gpus-per-trial, or add a node"
            )
        yield Joined(cluster, starting)
    finally:
        ray.shutdown()


def _ray() -> ModuleType:
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", LOSSES)  # read when Ray is imported
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError(
            "searches on a cluster need Ray, which is not installed: pip install 'autometa[ray]'"
        ) from error
    return ray


def _start(ray: ModuleType, settings: Settings) -> None:
    store = max(STORE_LEAST, int(STORE_SHARE * settings.memory))
    _init(
        ray,
        address="local",
        num_cpus=granted_cores(),
        object_store_memory=store,
        include_dashboard=False,
        _memory=max(WORKER_MEMORY, settings.memory - store),
    )


def _connect(ray: ModuleType, address: str) -> None:
    if not answers(address):
        raise InputError(
            f"a Ray cluster must answer at the address given; nobody does at {address}. Start one there "
            f"(ray start --head), or give --ray auto for the one running here, else a new one on this machine"
        )
    try:
        _init(ray, address=address)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"the Ray cluster at {address} cannot be joined: {reason}. Its port is that of ray start --port, "
            f"6379 unless another was given"
        ) from error


def _init(ray: ModuleType, **options: Any) -> None:
    """Without Ray's own messages, which would run through the display."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # older ones tell what newer ones will do
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
