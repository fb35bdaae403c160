"""A Ray cluster of several hosts on this machine: a head without devices, and hosts with one device each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"
ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else Ray takes this machine's outer address, which may be filtered
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_AUTO_CONNECT": "0",
    "RAY_worker_niceness": "0",  # else what works for a run waits for what else is tested
    "RAY_ADDRESS": "",
}
SMALL = {"object_store_memory": 80 << 20, "node_ip_address": LOOPBACK, "include_dashboard": False}


class LoopbackCluster:
    """Hosts come and go; whoever joins, a test or a command of its own, is a driver on the head."""

    def __init__(self, hosts: int = 2) -> None:
        os.environ.update(ENVIRONMENT)
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **SMALL})
        self.hosts: list[Any] = []
        for _ in range(hosts):
            self.add_host()

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def add_host(self, **environment: str) -> Any:
        """One more host with a device, its processes with these variables."""
        before = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        try:
            host = self._cluster.add_node(num_cpus=1, resources={"device": 1}, **SMALL)
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
        self.hosts.append(host)
        return host

    def remove_host(self, host: Any) -> None:
        """As if its plug were pulled."""
        self.hosts.remove(host)
        self._cluster.remove_node(host, allow_graceful=False)

    def close(self) -> None:
        import ray

        ray.shutdown()
        self._cluster.shutdown()

    def raylet_of(self, host: Any) -> int:
        """The process that starts all others of a host."""
        from ray._private.ray_constants import PROCESS_TYPE_RAYLET

        return int(host.all_processes[PROCESS_TYPE_RAYLET][0].process.pid)

    @contextmanager
    def blind_host(self, folder: Path) -> Iterator[None]:
        """One more host, for which a folder is empty: in a mount namespace of its own, which takes root."""
        start = f"{sys.executable} -m tests.loopback_cluster {self.address}"
        command = ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs none {folder} && exec {start}"]
        before = self._alive()
        process = subprocess.Popen(command, cwd=Path(__file__).parents[1], start_new_session=True)
        try:
            deadline = time.monotonic() + 60
            while self._alive() <= before:
                assert time.monotonic() < deadline, "waited in vain"
                time.sleep(0.2)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)

    def _alive(self) -> set[str]:
        return {node["NodeID"] for node in self._cluster.global_state.node_table() if node["Alive"]}


def join(address: str) -> None:
    """Be one more host of the cluster, until a signal comes; `ray start` would look for the outer address."""
    from ray._private.node import Node
    from ray._private.parameter import RayParams

    ports = {"min_worker_port": 0, "max_worker_port": 0, "node_manager_port": 0, "dashboard_agent_listen_port": None}
    Node(RayParams(gcs_address=address, num_cpus=1, include_log_monitor=False, **ports, **SMALL), head=False)
    signal.pause()


if __name__ == "__main__":
    join(sys.argv[1])
