"""What a place, its pools and their replicas promise: all that the stages know of where their jobs run.

A replica is a process with something loaded (an engine, a model); a pool deals jobs to its replicas; a group runs one
job on all of its ranks at once. Jobs are importable functions `job(loaded, report, *args)`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from flows.runtime.messages import Report, silent
from storage.stores.base import Store

REPLICA = "MOPD_REPLICA"
"""In the environment of a replica: its name, e.g. `engine-0`. What it makes says so, and its log is called so."""


class Replica(Protocol):
    """One process of a pool, started by its first job and again after a death."""

    name: str

    def run(self, job: Callable[..., Any], *args: Any, report: Report = silent) -> Any:
        """The job's result; its exceptions are raised here. One job at a time.

        Raises WorkerDied (it may be tried again, by the same replica), WorkerStopped, or OutOfMemory.
        """

    def close(self) -> None:
        """Let what is loaded close itself and end the process; it does not start again."""

    def kill(self) -> None:
        """End the process now, from any thread; a job that runs raises WorkerStopped in its own."""


class Pool(Protocol):
    """Replicas of one kind, or the ranks of one group."""

    name: str

    @property
    def size(self) -> int:
        """Jobs that can run at once now: 1 for a group."""

    devices: int
    """Devices of this host that it holds, 0 where the place counts them itself."""

    def run(self, job: Callable[..., Any], *args: Any, report: Report = silent) -> Any:
        """As `Replica.run`, from several threads at once: blocks until a replica is free.

        Of a group: `job(None, report, *args)` on all ranks at once, with RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and
        MASTER_PORT in the environment as torchrun gives them. Rank 0's result and reports; one death ends all ranks and
        is one WorkerDied, the next call starts them again. A rank sees its own devices alone, so `cuda:0` is its own.
        """

    def close(self) -> None:
        """Let what is loaded close itself, and end all processes."""

    def kill(self) -> None:
        """End all processes now, from any thread; jobs that run raise WorkerStopped in their own."""


class Place(Protocol):
    """Starts the processes of a run."""

    def pool(
        self, name: str, load: Callable[..., Any], *args: Any, devices: int = 1, replicas: int | None = None
    ) -> Pool:
        """Replicas that load `load(*args)`, each with `devices` devices of one host; 0: on the CPUs.

        At most `replicas`; None for as many as there are devices for. `name` begins with what is loaded:
        "engine of policy 3" has replicas `engine-0`, `engine-1`. Raises InputError as `check`.
        """

    def group(self, name: str, ranks: int, devices: int = 1) -> Pool:
        """One process a rank, each with `devices` devices; a job waits for room for all of them."""

    def room(self, devices: int) -> int:
        """So many replicas, each with `devices` devices (0: on the CPUs), there is room for. Raises InputError as
        `check` where there is none."""

    def check(self, store: Store) -> None:
        """Raises InputError, one line, for what the place can't do; `store`: the run's, where nothing may be yet.

        What the settings ask of it is held against what there is before anything is written.
        """

    def seen(self) -> list[str]:
        """What there is, a line a host: its devices, cores, memory."""


def replica_name(pool: str, number: int) -> str:
    """`engine-1` for replica 1 of "engine of policy 3"."""
    return f"{pool.split()[0]}-{number}"


def log_of(logs: Path | None, replica: str) -> Path | None:
    """Where what a replica prints goes."""
    return logs and logs / f"{replica}.log"
