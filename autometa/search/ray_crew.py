"""The workers of a search on a Ray cluster: one for each place on its nodes, as nodes come and go."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autometa import __version__
from autometa.errors import RunError
from autometa.search.ray_worker import RayWorker, Ready

if TYPE_CHECKING:
    from autometa.search.ray_cluster import Cluster, Node

LOOK = 2.0  # seconds between two looks at the nodes of the cluster
CHANCES = 2  # workers of a node that may fail to start before the node is left alone
FAREWELL = 2.0  # seconds that workers have to leave nothing behind


@dataclass(eq=False)
class Worker:
    """An actor, and the node it was put on; None for one that waits for a node to come.

    Attributes:
        actor: its handle.
        node: where it is.
        starting: resolves when it can begin; None since then.
        proven: whether it could once.
    """

    actor: Any
    node: Node | None
    starting: Any | None
    proven: bool = False

    @property
    def where(self) -> str:
        """The name of its node."""
        return self.node.name if self.node else "a node to come"


class Crew:
    """Keeps a worker at each place that the nodes have.

    Args:
        cluster: where they work.
        most: how many there are at most; None for as many as there is room for.
    """

    def __init__(self, cluster: Cluster, *, most: int | None) -> None:
        self._cluster, self._most = cluster, most
        self._ray = cluster.ray
        self._class = self._ray.remote(RayWorker)
        self._run = secrets.token_hex(4)
        self._next_look = 0.0
        self._failures: Counter[str] = Counter()
        self._reason = ""
        self.workers: list[Worker] = []
        self.places = 0  # that the nodes have, as far as they are wanted
        self.look()

    @property
    def ready(self) -> list[Worker]:
        """Those that can begin."""
        return [w for w in self.workers if w.starting is None]

    def look(self) -> None:
        """Take in nodes that have come and let go of those that are gone, every other second."""
        if time.monotonic() < self._next_look:
            return
        nodes = {n.id: n for n in self._cluster.nodes() if self._failures[n.id] < CHANCES}
        for worker in [w for w in self.workers if w.node is not None and w.node.id not in nodes]:
            self.dismiss(worker)
        room = sum(node.room for node in nodes.values())
        self.places = room if self._most is None else min(self._most, room)
        while sum(w.node is not None for w in self.workers) < self.places:
            busy = Counter(w.node.id for w in self.workers if w.node is not None)
            open_to_us = [n for n in nodes.values() if busy[n.id] < n.room]
            self._hire(min(open_to_us, key=lambda n: (busy[n.id] / n.room, n.name)))
        if self._most is not None and self._most > room and all(w.node is not None for w in self.workers):
            self._hire(None)  # an autoscaler sees that somebody waits for a node
        self._next_look = time.monotonic() + LOOK

    def _hire(self, node: Node | None) -> None:
        demand = self._cluster.demand
        options: dict[str, Any] = {"num_cpus": demand.cpus, "num_gpus": demand.gpus, "max_concurrency": 2}
        if node is not None:
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node.id, soft=False)
        actor = self._class.options(**options).remote(self._run)
        self.workers.append(Worker(actor, node, actor.ready.remote()))

    def started(self, worker: Worker) -> None:
        """Take note that a worker can begin, or why it cannot.

        Raises:
            RunError: no node can work for this search.
        """
        try:
            said: Ready = self._ray.get(worker.starting)
            if said.version != __version__:
                raise RunError(f"it has autometa {said.version}, the search is of {__version__}")
        except (self._ray.exceptions.RayError, RunError, RuntimeError) as error:
            self.dismiss(worker)
            if worker.node is not None and not worker.proven:
                self._failures[worker.node.id] += 1
                self._reason = f"{worker.where}: {last_line(error)}"
            self._next_look = 0.0
            self.look()
            if not self.workers:
                self._despair(error)
            return
        worker.starting, worker.proven = None, True
        if worker.node is None:
            worker.node = next((n for n in self._cluster.nodes() if n.id == said.node), None)
            if worker.node is None:  # it went as it came
                self.dismiss(worker)

    def _despair(self, error: BaseException) -> None:
        if self._reason:
            raise RunError(f"no node of the cluster can work for this search; {self._reason}") from error

    def doubt(self, workers: list[Worker]) -> None:
        """Have workers say again that they can begin: one beside them was lost, and perhaps their node."""
        for worker in workers:
            worker.starting = worker.actor.ready.remote()

    def dismiss(self, worker: Worker) -> None:
        """Kill a worker; another one takes its place where there is room."""
        if worker in self.workers:
            self.workers.remove(worker)
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.kill(worker.actor)

    def close(self) -> None:
        """Let all workers go."""
        with contextlib.suppress(self._ray.exceptions.RayError):
            leaving = [w.actor.close.remote() for w in self.workers if w.node is not None]
            if leaving:
                self._ray.wait(leaving, num_returns=len(leaving), timeout=FAREWELL)
        while self.workers:
            self.dismiss(self.workers[0])


def last_line(error: BaseException) -> str:
    """What an error of Ray says after its traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
