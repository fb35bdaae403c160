"""`place: local`: a process a device of this host."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from flows.runtime.out_of_memory import GIGABYTE
from flows.runtime.places.base import REPLICA, log_of, replica_name
from flows.runtime.places.devices import Device, host_devices, share_of
from flows.runtime.places.group import RankGroup, find_meeting
from flows.runtime.places.pool import ReplicaPool
from flows.runtime.worker import Worker, load_nothing
from mopd.errors import InputError
from mopd.memory.available import SHARING, total_memory
from mopd.settings import Settings
from mopd.settings.place import LocalPlace
from storage.store import Store

CPU_WORKERS = 2
"""One judges a shard on all cores, and a second fills them where the first waits."""


class ThisHost:
    """Workers on this host, each with devices of its own."""

    def __init__(self, settings: Settings, logs: Path | None = None) -> None:
        assert isinstance(settings.place, LocalPlace), "another place is asked for"
        self._settings, self._place, self._logs = settings, settings.place, logs

    @cached_property
    def devices(self) -> list[Device]:
        """Those that the run may use. Raises InputError."""
        return host_devices(self._place)

    def pool(
        self, name: str, load: Callable[..., Any], *args: Any, devices: int = 1, replicas: int | None = None
    ) -> ReplicaPool:
        """Workers, each on its devices; on the CPUs two, or one where there is one device."""
        wanted = len(self.devices) if devices else min(len(self.devices), CPU_WORKERS)
        size = min(self.room(devices), replicas or wanted)

        def make(number: int) -> Worker:
            return self._worker(name, number, self._devices(number, devices), size, load, *args)

        return ReplicaPool(name, size, make, devices=size * devices)

    def group(self, name: str, ranks: int, devices: int = 1) -> RankGroup:
        """Workers that meet on loopback; sets of cores are divided among them, so that a lone one has all."""
        self._check_ranks(ranks, devices)
        each = devices if self.devices[0].gpu else len(self.devices) // ranks

        def make(rank: int) -> Worker:
            return self._worker(name, rank, self._devices(rank, each), ranks, load_nothing)

        return RankGroup(name, ranks, make, meet=find_meeting, devices=ranks * each)

    def room(self, devices: int) -> int:
        """By devices, or cores."""
        if devices > len(self.devices):
            raise InputError(
                f"generate.engine_arguments: tensor_parallel_size: {devices} devices a replica, and this host has "
                f"{self._found()}; lower it{self._raise_devices()}"
            )
        return len(self.devices) // devices if devices else len(os.sched_getaffinity(0))

    def _check_ranks(self, ranks: int, devices: int = 1) -> None:
        if ranks > self.room(devices):
            raise InputError(
                f"train.ranks: {ranks}, and this host has {self._found()}; lower it{self._raise_devices()}"
            )

    def check(self, store: Store) -> None:
        """Whether there are the devices that an engine takes, and those of the ranks."""
        self.room(self._settings.generate.num_devices)
        self._check_ranks(self._settings.train.ranks)

    def seen(self) -> list[str]:
        """This host."""
        cores, memory = len(os.sched_getaffinity(0)), total_memory() / GIGABYTE
        return [f"{platform.node()}: {self._found()}; {cores} cores, {memory:.0f} GB of memory"]

    def _found(self) -> str:
        number = len(self.devices)
        if self.devices[0].gpu:
            return f"{number} GPU{'s' if number > 1 else ''}"
        return "1 device (its cores)" if number == 1 else f"{number} devices (sets of cores)"

    def _raise_devices(self) -> str:
        """The other fix, where devices are what the settings divide the cores into."""
        return "" if self.devices[0].gpu else ", or raise place.devices"

    def _devices(self, number: int, devices: int) -> list[Device]:
        return self.devices[number * devices : (number + 1) * devices]

    def _worker(
        self, name: str, number: int, devices: list[Device], sharing: int, load: Callable[..., Any], *args: Any
    ) -> Worker:
        own = replica_name(name, number)
        environment = {REPLICA: own, SHARING: str(sharing)}
        return Worker(
            f"{own} ({name})",
            load,
            *args,
            log=log_of(self._logs, own),
            share=share_of(devices, environment),
            silence_seconds=self._place.silence_seconds,
        )
