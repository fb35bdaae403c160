"""The devices of this host, as `place.devices` counts them, and which of them a replica gets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version

from flows.runtime.messages import Report
from flows.runtime.places.share import Share
from flows.runtime.worker import in_own_process
from mopd.errors import InputError
from mopd.settings.place import LocalPlace

GPUS = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Device:
    """A GPU, or a set of cores."""

    gpu: str = ""
    """As CUDA names it; "" for cores."""
    cores: tuple[int, ...] = ()
    """Of a device that is a set of them; () for all that there are."""


def host_devices(settings: LocalPlace) -> list[Device]:
    """The devices of this host that a run may use. Raises InputError where there are fewer than are asked for."""
    gpus, cores = visible_gpus(), sorted(os.sched_getaffinity(0))
    if settings.devices == "auto":
        return [Device(gpu) for gpu in gpus] or [Device()]
    num, there, what = settings.devices, len(gpus or cores), "GPUs" if gpus else "cores"
    if num > there:
        raise InputError(f"place.devices: {num}, and this host has {there} {what} for a run; lower it, or take auto")
    if gpus:
        return [Device(gpu) for gpu in gpus[:num]]
    size = there // num
    return [Device(cores=tuple(cores[first * size : (first + 1) * size])) for first in range(num)]


def share_of(devices: Sequence[Device], environment: dict[str, str]) -> Share:
    """What a process with these devices may use of the host, with `environment` beside it."""
    if devices and devices[0].gpu:
        return Share({**environment, GPUS: ",".join(device.gpu for device in devices)})
    return Share(environment, tuple(core for device in devices for core in device.cores))


@cache
def visible_gpus() -> tuple[str, ...]:
    """GPUs that torch sees, named as the environment names them where it does."""
    if is_cpu_build():
        return ()
    count = in_own_process(count_gpus)
    named = tuple(name.strip() for name in os.environ.get(GPUS, "").split(",") if name.strip())
    return named[:count] or tuple(str(number) for number in range(count))


def is_cpu_build() -> bool:
    """Whether the torch that is installed knows no GPUs."""
    return version("torch").endswith("+cpu")


def count_gpus(_: None, report: Report) -> int:
    """Asked in a process of its own: one that has asked CUDA can't be forked any more."""
    import torch

    return torch.cuda.device_count()
