"""The devices of a host, divided among the processes of a run."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flows.runtime.places import devices as devices_module
from flows.runtime.places.devices import Device, host_devices, share_of
from flows.runtime.places.open import open_place
from flows.runtime.places.this_host import ThisHost
from mopd.errors import InputError
from mopd.settings import Settings, parse_settings
from mopd.settings.place import LocalPlace
from tests.flows.runtime import worker_jobs as jobs

CORES = sorted(os.sched_getaffinity(0))
needs_two_cores = pytest.mark.skipif(len(CORES) < 2, reason="one core has no two sets")


def gpus(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(devices_module, "visible_gpus", lambda: names)


def place_of(place: Any, **engine_arguments: int) -> ThisHost:
    settings = parse_settings({"place": place, "generate": {"engine_arguments": engine_arguments}})
    place = open_place(settings)
    assert isinstance(place, ThisHost)
    return place


@pytest.mark.parametrize("tree", ["local", {}, {"kind": "local"}, {"devices": "auto"}])
def test_a_place_by_its_name_alone(tree: Any) -> None:
    assert parse_settings({"place": tree}) == Settings()


def test_without_gpus_the_cores_are_one_device_or_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {2, 3, 5, 7, 11})
    assert host_devices(LocalPlace()) == [Device()]
    assert host_devices(LocalPlace(devices=2)) == [Device(cores=(2, 3)), Device(cores=(5, 7))]
    with pytest.raises(InputError, match=r"place\.devices: 6, and this host has 5 cores"):
        host_devices(LocalPlace(devices=6))


def test_gpus_are_all_or_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, "3", "GPU-ab", "5")
    assert [device.gpu for device in host_devices(LocalPlace())] == ["3", "GPU-ab", "5"]
    assert [device.gpu for device in host_devices(LocalPlace(devices=2))] == ["3", "GPU-ab"]
    with pytest.raises(InputError, match=r"place\.devices: 4, and this host has 3 GPUs"):
        host_devices(LocalPlace(devices=4))


@pytest.mark.parametrize(
    ("named", "count", "found"),
    [
        (None, 2, ("0", "1")),
        ("4,6", 2, ("4", "6")),
        ("GPU-a, GPU-b,GPU-c", 3, ("GPU-a", "GPU-b", "GPU-c")),
        ("", 0, ()),
    ],
)
def test_gpus_that_the_environment_names_keep_their_names(
    named: str | None, count: int, found: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices_module, "version", lambda name: "2.14.0")
    monkeypatch.setattr(devices_module, "in_own_process", lambda check: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert devices_module.visible_gpus.__wrapped__() == found


def test_a_replica_of_several_gpus_sees_them_alone() -> None:
    share = share_of([Device("3"), Device("GPU-ab")], {"MOPD_REPLICA": "engine-1"})
    assert share.environment == {"MOPD_REPLICA": "engine-1", "CUDA_VISIBLE_DEVICES": "3,GPU-ab"}
    assert share.cores == ()


@pytest.mark.parametrize(("size", "replicas"), [(1, 4), (2, 2), (3, 1), (4, 1)])
def test_as_many_replicas_as_there_are_devices_for(size: int, replicas: int, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, "0", "1", "2", "3")
    place = place_of("local", tensor_parallel_size=size)
    place.check(Path("run"))
    pool = place.pool("engine of policy 0", jobs.load, devices=size)
    assert (pool.size, pool.devices) == (replicas, replicas * size)
    assert place.pool("engine of policy 0", jobs.load, devices=size, replicas=1).devices == size


def test_more_devices_a_replica_than_there_are_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, "0", "1")
    wanted = r"tensor_parallel_size: 4 devices a replica, and this host has 2 GPUs; lower it$"
    with pytest.raises(InputError, match=wanted):
        place_of("local", tensor_parallel_size=4).check(Path("run"))
    gpus(monkeypatch)
    wanted = r"2 devices a replica, and this host has 1 device \(its cores\); lower it, or raise place\.devices$"
    with pytest.raises(InputError, match=wanted):
        place_of("local", tensor_parallel_size=2).check(Path("run"))
    with pytest.raises(InputError, match=r"^train\.ranks: 2, and this host has 1 device"):
        open_place(parse_settings({"train": {"ranks": 2}})).check(Path("run"))


def test_a_lone_rank_has_all_sets_of_cores_and_one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch)
    if len(CORES) > 1:
        assert place_of({"devices": 2}).group("trainer of policy 0", 1).devices == 2
    gpus(monkeypatch, "0", "1")
    assert place_of("local").group("trainer of policy 0", 1).devices == 1


@needs_two_cores
def test_replicas_have_cores_of_their_own_and_are_known_by_name(tmp_path: Path) -> None:
    place = ThisHost(parse_settings({"place": {"devices": 2}}), tmp_path / "logs")
    pool = place.pool("engine of policy 0", jobs.load, tmp_path / "notes")
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: pool.run(jobs.meet, 0.5), range(2)))
        found = sorted(threads.map(lambda _: pool.run(jobs.share), range(2)))
    pool.close()
    half = len(CORES) // 2
    assert {name for name, *_ in found} <= {"engine-0", "engine-1"}
    for name, cores, num_threads, gpu in found:
        mine = CORES[:half] if name == "engine-0" else CORES[half : 2 * half]
        assert cores == set(mine) and num_threads <= half and gpu == os.environ.get("CUDA_VISIBLE_DEVICES")
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["engine-0.log", "engine-1.log"]
