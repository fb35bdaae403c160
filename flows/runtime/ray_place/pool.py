"""Replicas on the hosts that a Ray cluster has at the time, and ranks that it places all at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from flows.runtime.messages import Report, silent
from flows.runtime.places.group import RankGroup
from flows.runtime.places.pool import close_all
from flows.runtime.ray_place.keeper import find_meeting
from flows.runtime.ray_place.replica import RayReplica
from flows.runtime.worker import WorkerDied, WorkerStopped
from mopd.errors import InputError

POLL_SECONDS = 0.2
MOST_FAILED_STARTS = 3
"""So many replicas in a row that died before they were given anything are no accident of their hosts."""


class RayPool:
    """As many replicas as have room, each made when a job finds no other one free.

    A host that leaves takes its replicas along, and jobs go to the others; one that joins is used by the next job that
    finds no replica free.
    """

    devices = 0

    def __init__(self, name: str, room: Callable[[], int], make: Callable[[int], RayReplica], patience: float) -> None:
        """`room()`: how many replicas the hosts that are there have room for; none for `patience` seconds is an error.

        `make(number)` makes one.
        """
        self.name = name
        self._room, self._make, self._patience = room, make, patience
        self._replicas: dict[int, RayReplica] = {}
        self._free: list[RayReplica] = []
        self._starting: list[RayReplica] = []
        self._failed_starts = 0
        self._waiting = 0
        self._lock = threading.Lock()
        self._stopped = False

    @property
    def size(self) -> int:
        """Jobs that can run at once on the hosts that are there."""
        return max(1, self._room())

    def run(self, job: Callable[..., Any], *args: Any, report: Report = silent) -> Any:
        """The job's result, by the first replica that is free. Raises InputError where no host has room for one."""
        replica = self._take(report)
        while not replica.answers():  # it died while it had nothing to do, maybe with its host and all others there
            replica = self._take(report)
        try:
            return replica.run(job, *args, report=report)
        finally:
            with self._lock:
                self._free.append(replica)

    def close(self) -> None:
        """Let what is loaded close itself, all at once, and give the devices back."""
        close_all(self._stop())

    def kill(self) -> None:
        """End all actors now; jobs that run raise WorkerStopped."""
        for replica in self._stop():
            replica.kill()

    def _stop(self) -> list[RayReplica]:
        with self._lock:
            self._stopped = True
            return list(self._replicas.values())

    def _take(self, report: Report) -> RayReplica:
        """The replica that became free last, or one that has started meanwhile."""
        with self._lock:
            self._waiting += 1
        began = time.monotonic()
        try:
            while True:
                with self._lock:
                    if (replica := self._find()) is not None:
                        return replica
                    room = self._room()
                    self._begin(room)
                if room:
                    began = time.monotonic()
                elif time.monotonic() - began > self._patience:
                    raise InputError(f"{self.name}: no host of the cluster has room for it; add one, then go on")
                report({})
                time.sleep(POLL_SECONDS)
        finally:
            with self._lock:
                self._waiting -= 1

    def _find(self) -> RayReplica | None:
        """A replica that may take a job."""
        if self._stopped:
            raise WorkerStopped(f"{self.name}: stopped")
        while self._free:
            replica = self._free.pop()
            if not replica.is_dead:
                return replica
        return next((replica for replica in list(self._starting) if self._has_started(replica)), None)

    def _has_started(self, replica: RayReplica) -> bool:
        """Whether it may take a job now.

        One that died before costs nobody a retry: its host left, maybe before the cluster knew. Raises WorkerDied for
        the last of several in a row.
        """
        try:
            is_ready = not replica.is_dead and replica.is_ready()
        except WorkerDied:
            self._failed_starts += 1
            if self._failed_starts == MOST_FAILED_STARTS:
                self._failed_starts = 0
                raise
            is_ready = False
        if is_ready:
            self._failed_starts = 0
        if is_ready or replica.is_dead:
            self._starting.remove(replica)
        return is_ready

    def _begin(self, room: int) -> None:
        """Start one more, if somebody waits for it and the hosts have room."""
        self._replicas = {number: replica for number, replica in self._replicas.items() if not replica.is_dead}
        if len(self._starting) < self._waiting and len(self._replicas) < room:
            number = next(number for number in range(room) if number not in self._replicas)
            self._replicas[number] = self._make(number)
            self._starting.append(self._replicas[number])


class RayGroup(RankGroup):
    """Ranks in one placement group: Ray finds room for all of them, or for none."""

    def __init__(
        self,
        name: str,
        ranks: int,
        bundle: dict[str, float],
        make: Callable[[int, Any], RayReplica],
        *,
        room: Callable[[], int],
        patience: float,
    ) -> None:
        """`bundle`: what a rank takes of a host; `make(rank, gang)` makes one in a placement group."""
        super().__init__(name, ranks, self._make_rank, meet=find_meeting)
        self._bundle, self._make_actor = bundle, make
        self._room, self._patience = room, patience
        self._gang: Any = None

    def close(self) -> None:
        """End all ranks, and give their devices back."""
        super().close()
        self._disband()

    def kill(self) -> None:
        """End all ranks now."""
        super().kill()
        self._disband()

    def _make_rank(self, rank: int) -> RayReplica:
        if rank == 0:
            self._disband()
            self._gather()
        gang = self._gang
        if gang is None:  # `kill` came
            raise WorkerStopped(f"{self.name}: stopped")
        return self._make_actor(rank, gang)

    def _gather(self) -> None:
        """Wait for room for all ranks, on as few hosts as can be. Raises InputError where there is none for long."""
        from ray.util import placement_group

        gang = self._gang = placement_group([self._bundle] * self._ranks, strategy="PACK")
        began = time.monotonic()
        while not gang.wait(POLL_SECONDS):
            if self._stopped:
                raise WorkerStopped(f"{self.name}: stopped")
            if self._room() >= self._ranks:
                began = time.monotonic()
            elif time.monotonic() - began > self._patience:
                raise InputError(f"train.ranks: {self._ranks}, and the cluster has room for {self._room()}; add hosts")

    def _disband(self) -> None:
        from ray.util import remove_placement_group

        gang, self._gang = self._gang, None
        if gang is not None:
            remove_placement_group(gang)
