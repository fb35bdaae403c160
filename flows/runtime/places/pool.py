"""Replicas that take jobs as they become free."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from flows.runtime.messages import Report, silent
from flows.runtime.places.base import Replica
from flows.runtime.worker import WorkerDied, WorkerStopped


class ReplicaPool:
    """At most `size` replicas, each made when a job finds no other one free; `make(number)` makes one."""

    def __init__(self, name: str, size: int, make: Callable[[int], Replica], *, devices: int = 0) -> None:
        self.name, self.size, self.devices = name, size, devices
        self._make = make
        self._replicas: list[Replica] = []
        self._free: list[Replica] = []
        self._changed = threading.Condition()
        self._stopped = False

    def run(self, job: Callable[..., Any], *args: Any, report: Report = silent) -> Any:
        """The job's result, by the first replica that is free."""
        replica, died = self._take(), False
        try:
            return replica.run(job, *args, report=report)
        except WorkerDied:
            died = True
            raise
        finally:
            with self._changed:
                self._free.insert(0 if died else len(self._free), replica)
                self._changed.notify()

    def _take(self) -> Replica:
        """The replica that became free last, so that none is loaded for nothing; one that died is taken last."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._free or len(self._replicas) < self.size)
            if self._stopped:
                raise WorkerStopped(f"{self.name}: stopped")
            if self._free:
                return self._free.pop()
            self._replicas.append(self._make(len(self._replicas)))
            return self._replicas[-1]

    def close(self) -> None:
        """Let what is loaded close itself, all at once, and end the processes."""
        close_all(self._stop())

    def kill(self) -> None:
        """End all processes now; jobs that run raise WorkerStopped."""
        for replica in self._stop():
            replica.kill()

    def _stop(self) -> list[Replica]:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            return list(self._replicas)


def close_all(replicas: Iterable[Replica]) -> None:
    """Close them all at once: each may take its time."""
    closing = [threading.Thread(target=replica.close) for replica in replicas]
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join()
