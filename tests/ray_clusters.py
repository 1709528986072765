"""A Ray cluster of several nodes on this machine, in a process of its own, for the tests of searches on clusters."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

STORE = 80 * 2**20  # bytes of each node's object store, the least that Ray takes


class LocalCluster:
    """Nodes that come and go.

    Args:
        nodes: resources of each node by its name; the first one is the head.
    """

    def __init__(self, **nodes: dict[str, float]) -> None:
        # Sockets lie in it, whose paths must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="am-", dir="/tmp"))
        self.environment = os.environ | {"RAY_TMPDIR": str(self.folder), "TMPDIR": str(self.folder)}
        (self.folder / "ray").mkdir()
        with (self.folder / "errors").open("w") as errors:
            self._host = subprocess.Popen(
                [sys.executable, __file__],
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        for name, resources in nodes.items():
            self.add(name, **resources)

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return self._ask("address")

    def add(self, name: str, **resources: float) -> None:
        """Have a node join."""
        self._ask("add", name, resources)

    def kill(self, name: str) -> None:
        """SIGKILL for all of a node."""
        self._ask("kill", name)

    def workers(self) -> list[psutil.Process]:
        """The actors of a search, on all nodes."""
        below = psutil.Process(self._host.pid).children(recursive=True)
        return [p for p in below if "RayWorker" in " ".join(_cmdline(p))]  # none that is only waited for

    def close(self) -> None:
        """Stop all nodes."""
        self._host.stdin.close()
        self._host.wait(30)
        self._host.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ask(self, *command: object) -> str:
        self._host.stdin.write(json.dumps(command) + "\n")
        self._host.stdin.flush()
        answer = self._host.stdout.readline()
        assert answer, (self.folder / "errors").read_text()
        return json.loads(answer)


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def _serve() -> None:
    from ray.cluster_utils import Cluster

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Ray writes to standard output as well
    cluster, nodes = Cluster(), {}
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        answer = ""
        if verb == "add":
            name, resources = arguments
            place = {"node_ip_address": f"127.0.0.{len(nodes) + 1}"} if nodes else {"include_dashboard": False}
            nodes[name] = cluster.add_node(object_store_memory=STORE, node_name=name, **place, **resources)
            # Where nodes share a machine, older versions of Ray have drivers join the last one: the head it shall be.
            told = Path(cluster.head_node.get_session_dir_path(), "node_ip_address.json")
            told.write_text(json.dumps({"node_ip_address": cluster.head_node.node_ip_address}))
        elif verb == "kill":
            cluster.remove_node(nodes.pop(*arguments), allow_graceful=False)
        else:
            answer = cluster.address
        print(json.dumps(answer), file=answers, flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    _serve()
