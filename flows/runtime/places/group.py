"""One job on all ranks of a group at once: what torch.distributed wants of whoever starts its processes."""

from __future__ import annotations

import os
import platform
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

from flows.runtime.messages import Report, silent
from flows.runtime.out_of_memory import OutOfMemory
from flows.runtime.places.base import Replica
from flows.runtime.worker import WorkerDied, WorkerStopped

GRACE_SECONDS = 5.0
"""After a rank has failed, the others have so long to fail too: who waits for a dead rank may be heard before it is."""


class Meeting(NamedTuple):
    """Where a rank is, and where the others would meet it."""

    host: str
    address: str
    port: int


class RankGroup:
    """Processes that work on each job together; after one has failed, all are made anew by `make(rank)`.

    `meet(None, report)` is a job that says where its rank is.
    """

    size = 1

    def __init__(
        self,
        name: str,
        ranks: int,
        make: Callable[[int], Replica],
        *,
        meet: Callable[..., Meeting],
        devices: int = 0,
    ) -> None:
        self.name, self.devices = name, devices
        self._ranks, self._make, self._meet = ranks, make, meet
        self._replicas: list[Replica] = []
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, job: Callable[..., Any], *args: Any, report: Report = silent) -> Any:
        """Rank 0's result; its reports go to `report`."""
        with self._lock:
            if not self._replicas:
                self._replicas = [self._make(rank) for rank in range(self._ranks)]
            if self._stopped:  # looked at when `kill` would find the replicas
                self.kill()
                raise WorkerStopped(f"{self.name}: stopped")
            meetings: list[Meeting] = self._together(self._meet, [() for _ in self._replicas], silent)
            calls = [(environment, job, args) for environment in environments(meetings)]
            return self._together(run_rank, calls, report)[0]

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            self._stopped = True
            for replica in self._replicas:
                replica.close()

    def kill(self) -> None:
        """End all processes now; the job that runs raises WorkerStopped."""
        self._stopped = True
        for replica in self._replicas:
            replica.kill()

    def _together(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]], report: Report) -> list[Any]:
        """What each rank returns, in their order. Where one fails all end, and what ended the first is raised."""
        with ThreadPoolExecutor(self._ranks) as threads:
            futures = [
                threads.submit(replica.run, job, *call, report=report if rank == 0 else silent)
                for rank, (replica, call) in enumerate(zip(self._replicas, calls, strict=True))
            ]
            first = _failures(wait(futures, return_when=FIRST_EXCEPTION).done)
            if not first:
                return [future.result() for future in futures]
            failures = [*first, *_failures(wait(futures, GRACE_SECONDS).done)]
            for replica in self._replicas:
                replica.kill()
            self._replicas = []
        raise WorkerStopped(f"{self.name}: stopped") if self._stopped else _cause(failures)


def find_meeting(_: None, report: Report) -> Meeting:
    """Of ranks that are all on this host: they meet on loopback."""
    return meeting_at("127.0.0.1")


def meeting_at(address: str) -> Meeting:
    """This host, where it is reached at that address, by a port that is free now."""
    with socket.create_server((address, 0)) as server:
        address, port = server.getsockname()[:2]
        return Meeting(platform.node(), address, port)


def environments(meetings: Sequence[Meeting]) -> list[dict[str, str]]:
    """What torch.distributed reads, rank by rank: all meet at rank 0."""
    hosts = [meeting.host for meeting in meetings]
    return [
        {
            "RANK": str(rank),
            "WORLD_SIZE": str(len(meetings)),
            "LOCAL_RANK": str(hosts[:rank].count(host)),
            "MASTER_ADDR": meetings[0].address,
            "MASTER_PORT": str(meetings[0].port),
        }
        for rank, host in enumerate(hosts)
    ]


def run_rank(
    loaded: None, report: Report, environment: dict[str, str], job: Callable[..., Any], args: tuple[Any, ...]
) -> Any:
    """The job as one rank of its group; what all but rank 0 return is dropped."""
    os.environ.update(environment)
    result = job(loaded, report, *args)
    return result if environment["RANK"] == "0" else None


def _failures(done: Iterable[Future[Any]]) -> list[BaseException]:
    return [error for future in done if (error := future.exception()) is not None]


def _cause(failures: Sequence[BaseException]) -> BaseException:
    """A rank that died goes before those that could not reach it any more; else the first that failed."""
    for kind in (OutOfMemory, WorkerDied):
        if found := next((error for error in failures if isinstance(error, kind)), None):
            return found
    return failures[0]
