"""`place: ray`: an actor a replica, on the hosts of a Ray cluster that this host is part of."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from flows.runtime.places.base import REPLICA, log_of, replica_name
from flows.runtime.ray_place.check import check_hosts, own_facts
from flows.runtime.ray_place.connection import connect
from flows.runtime.ray_place.keeper import CORES, CPU, GPU, THREADS, Order
from flows.runtime.ray_place.pool import RayGroup, RayPool
from flows.runtime.ray_place.replica import RayReplica
from flows.runtime.worker import load_nothing
from mopd.errors import InputError
from mopd.settings import Settings
from mopd.settings.place import RayPlace
from storage.stores.base import Store

CARRIED = ("MOPD_", THREADS)
"""Variables of the environment that go along to the hosts; all others are as Ray was started with there."""


class RayCluster:
    """The hosts that are in the cluster at the time; Ray counts their devices."""

    def __init__(self, settings: Settings, logs: Path | None = None) -> None:
        assert isinstance(settings.place, RayPlace), "another place is asked for"
        self._settings, self._place, self._logs = settings, settings.place, logs

    def pool(
        self, name: str, load: Callable[..., Any], *args: Any, devices: int = 1, replicas: int | None = None
    ) -> RayPool:
        """Replicas on as many hosts as have room; on the CPUs as many as there are devices, spread over the hosts."""
        device = self._device
        resource = device if devices else CPU
        options = _taking(resource, devices or 1) | ({} if devices else {"scheduling_strategy": "SPREAD"})

        def make(number: int) -> RayReplica:
            return RayReplica(self._order(name, number, resource, devices, load, *args), options)

        return RayPool(name, partial(_room, device, devices, replicas), make, self._place.join_seconds)

    def group(self, name: str, ranks: int, devices: int = 1) -> RayGroup:
        """Ranks that Ray places all at once, on as few hosts as can be."""
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        resource = self._device

        def make(rank: int, gang: Any) -> RayReplica:
            strategy = PlacementGroupSchedulingStrategy(gang, placement_group_bundle_index=rank)
            order = self._order(name, rank, resource, devices, load_nothing)
            return RayReplica(order, _taking(resource, devices) | {"scheduling_strategy": strategy})

        room, patience = partial(_room, resource, devices), self._place.join_seconds
        return RayGroup(name, ranks, {resource: float(devices)}, make, room=room, patience=patience)

    def check(self, store: Store) -> None:
        """Whether Ray answers, a replica fits on a host, all ranks fit, and all hosts are alike and see the run."""
        wanted, resource = self._settings.generate.num_devices, self._device
        most = max(int(host["Resources"].get(resource, 0)) for host in _hosts())
        if wanted > most:
            raise InputError(
                f"generate.engine_arguments: tensor_parallel_size: {wanted} devices a replica, and no host of the "
                f"cluster has more than {most}; lower it"
            )
        ranks, room = self._settings.train.ranks, _room(resource, 1)
        if ranks > room:
            raise InputError(f"train.ranks: {ranks}, and the cluster has room for {room}; lower it, or add hosts")
        check_hosts(_hosts(), store, self._settings)

    def room(self, devices: int) -> int:
        """How many replicas with so many devices the hosts have room for; on the CPUs, as many as make sense."""
        return _room(self._device, devices)

    def seen(self) -> list[str]:
        """The cluster's hosts."""
        connect(self._place.address)
        return [describe_host(host["NodeManagerHostname"], host["Resources"]) for host in _hosts()]

    @cached_property
    def _device(self) -> str:
        """The resource that is a device here, also while no host is there that has one.

        Raises InputError where none has one at first, or no cluster answers.
        """
        connect(self._place.address)
        for resource in (GPU, CORES):
            if any(host["Resources"].get(resource) for host in _hosts()):
                return resource
        raise InputError(
            f"place.address: {self._place.address}: no host of the cluster has a GPU; on hosts without, say how many "
            f"devices their cores are: ray start --resources '{{\"{CORES}\": 1}}'"
        )

    def _order(
        self, name: str, number: int, resource: str, devices: int, load: Callable[..., Any], *args: Any
    ) -> Order:
        own = replica_name(name, number)
        carried = {variable: text for variable, text in os.environ.items() if variable.startswith(CARRIED)}
        return Order(
            name=f"{own} ({name})",
            load=load,
            args=args,
            resource=resource,
            devices=devices,
            environment={**carried, REPLICA: own},
            folder=Path.cwd(),
            log=log_of(self._logs, own),
            silence_seconds=self._place.silence_seconds,
            facts=own_facts(),
        )


def describe_host(name: str, resources: dict[str, float]) -> str:
    """One line for `mopd doctor`."""
    counts = [(int(resources.get(resource, 0)), resource) for resource in (GPU, CORES, CPU)]
    found = [f"{count} {resource}{'s' if count > 1 else ''}" for count, resource in counts if count]
    memory = f"{resources.get('memory', 0) / (1 << 30):.0f} GB for processes"
    return f"{name}: {', '.join([*found, memory])}"


def _hosts() -> list[dict[str, Any]]:
    """Ray's nodes that are alive and may be given work: a head, or a driver's host, may have nothing to give."""
    import ray

    return [node for node in ray.nodes() if node["Alive"] and {GPU, CORES, CPU} & node["Resources"].keys()]


def _room(device: str, devices: int, most: int | None = None) -> int:
    """How many replicas fit on the hosts that are there, at most `most`; on the CPUs, one a device or a host."""
    room = _count(device, devices) if devices else min(_count(CPU, 1), max(len(_hosts()), _count(device, 1)))
    return min(room, most or room)


def _count(resource: str, number: int) -> int:
    """How often the hosts have `number` of a resource on one host."""
    return sum(int(host["Resources"].get(resource, 0) // number) for host in _hosts())


def _taking(resource: str, number: int) -> dict[str, Any]:
    """What an actor takes of its host, as Ray's options say it."""
    if resource == GPU:
        return {"num_gpus": number}
    return {"num_cpus": number} if resource == CPU else {"resources": {resource: number}}
