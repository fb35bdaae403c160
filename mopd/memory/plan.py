"""A run's memory beside what its device has: `mopd plan` shows it, and `mopd run` refuses what can't fit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mopd.errors import InputError
from mopd.memory.advice import TENSOR_PARALLEL, Change, advise
from mopd.memory.available import total_memory
from mopd.memory.footprint import BFLOAT16, FLOAT32, read_shape
from mopd.memory.host import FIXES, host_memory
from mopd.memory.sizes import GIGABYTE, Device, Models, Parts, num_processes
from mopd.memory.stages import stage_memory

if TYPE_CHECKING:
    from mopd.settings import Settings

ERROR = 0.15
"""How far the arithmetic may be off (docs/plan.md): only what is further above the device's memory is refused."""
VLLM_SHARE = 0.92
"""Of a GPU, which vLLM takes for itself without `gpu_memory_utilization`."""
SPARE = 0.75
"""The share of what was not enough that a stage should take when it is tried again."""
SIZE = re.compile(r"(?:(cpu:)|([1-9]\d*)x)?(\d+(?:\.\d+)?) ?GB", re.IGNORECASE)


@dataclass(frozen=True)
class MemoryPlan:
    """What each stage takes, and what to change for those that take too much."""

    device: Device
    models: Models
    stages: dict[str, Parts]
    changes: Mapping[str, Sequence[Change] | None]
    """By stage that does not fit; None: no setting is enough."""
    processes: Mapping[str, int]
    """That work for a stage at once: engines, scorers, ranks."""
    host: Parts
    """Of the host's memory by stage, beside GPUs; empty on a CPU."""

    def total(self, stage: str) -> int:
        """Bytes of a stage at its largest moment."""
        return sum(self.stages[stage].values())


def plan_memory(settings: Settings, device: Device | None = None) -> MemoryPlan:
    """The plan of a run, on the device that is here if none is given.

    Raises InputError for a config of no model, and where there are fewer devices than ranks, or than an engine takes.
    """
    device, models = device or find_device(settings), models_of(settings)
    _check_number(settings, device)
    stages = stage_memory(settings, models, device)
    too_large = [stage for stage, parts in stages.items() if sum(parts.values()) > device.capacity]
    changes = {stage: lower(settings, models, stage, device, device.capacity) for stage in too_large}
    host = host_memory(settings, models, device)
    return MemoryPlan(device, models, stages, changes, num_processes(settings, device), host)


def _check_number(settings: Settings, device: Device) -> None:
    """Whether there are as many devices here as processes that work together; a cluster has others."""
    wanted = {"train.ranks": settings.train.ranks, TENSOR_PARALLEL: settings.generate.num_devices}
    for name, number in wanted.items():
        if number > device.number and settings.place.kind == "local":
            raise InputError(
                f"{name}: takes {number} devices, and there {'is' if device.number == 1 else 'are'} {device.number}; "
                "lower it, or raise place.devices or the number in --device"
            )


def lower(settings: Settings, models: Models, stage: str, device: Device, capacity: int) -> list[Change] | None:
    """What to change for a stage to take at most `capacity` bytes; None where no setting is enough."""
    by_adapter = {settings.train.lora: models}

    def need(changed: Settings) -> int:
        if changed.train.lora not in by_adapter:
            by_adapter[changed.train.lora] = models_of(changed)
        return sum(stage_memory(changed, by_adapter[changed.train.lora], device)[stage].values())

    return advise(settings, stage, need, capacity, gpus=device.number if device.kind == "cuda" else 1)


def check_memory(settings: Settings) -> None:
    """InputError for a run with a stage that can't fit on the device that is here, unless `model.check_memory` is off.

    What is within the error of the arithmetic is let through.
    """
    if not settings.model.check_memory:
        return
    plan, hint = plan_memory(settings), "(mopd plan shows it by part; model.check_memory: false begins all the same)"
    for stage, changes in plan.changes.items():
        needed, there = plan.total(stage), plan.device.capacity
        if needed > (1 + ERROR) * there:
            raise InputError(
                f"{stage}: {who_needs(plan, settings, stage)} {in_gigabytes(needed)} of memory "
                f"({largest_parts(plan.stages[stage])}) and there are {in_gigabytes(there)}; {describe(changes)} {hint}"
            )
    there = total_memory()
    for stage, needed in plan.host.items():
        if needed > (1 + ERROR) * there:
            raise InputError(
                f"{stage}: needs {in_gigabytes(needed)} of the host's memory beside its GPUs "
                f"({plan.processes[stage]} at once) and there are {in_gigabytes(there)}; {FIXES[stage]} {hint}"
            )


def memory_together(plan: MemoryPlan, settings: Settings) -> int:
    """Bytes of all stages beside each other. A GPU is vLLM's own up to the share that it takes of it."""
    needed = {stage: plan.total(stage) for stage in plan.stages}
    if plan.device.kind == "cuda" and settings.generate.engine == "vllm":
        needed["generate"] = int(VLLM_SHARE * plan.device.capacity)
    if settings.condition.variant.kind == "auto":  # its candidates are answered by another engine
        needed["answer"] = needed["generate"]
    return sum(needed.values())


def fits_together(plan: MemoryPlan, settings: Settings, available: int) -> bool:
    """Whether processes of all stages have room beside each other in the bytes that are free there."""
    return (1 + ERROR) * memory_together(plan, settings) <= min(plan.device.capacity, available)


def who_needs(plan: MemoryPlan, settings: Settings, stage: str) -> str:
    """Who takes the memory of a stage: all its processes on a CPU, each rank or each device of an engine on GPUs."""
    processes, devices = plan.processes[stage], settings.generate.num_devices
    if plan.device.kind == "cpu" and processes > 1:
        return f"{processes} processes need"
    if stage == "train" and settings.train.ranks > 1:
        return f"each of {settings.train.ranks} ranks needs"
    return f"each of the {devices} devices of an engine needs" if stage == "generate" and devices > 1 else "needs"


def lower_after(settings: Settings, stage: str, peak: int) -> list[Change] | None:
    """What to change for a stage of which a process took `peak` bytes (0: unknown), where there were no more.

    The arithmetic took it to fit, so what is to be reached is well below what was reckoned, and below the peak.
    """
    device, models = find_device(settings), models_of(settings)
    reckoned = sum(stage_memory(settings, models, device)[stage].values())
    if device.kind == "cpu":
        peak *= num_processes(settings, device)[stage]
    return lower(settings, models, stage, device, int(SPARE * min(reckoned, peak or reckoned)))


def describe(changes: Sequence[Change] | None) -> str:
    """What to change, as a sentence's part."""
    if not changes:
        return "take a smaller model, or a larger device"
    return " and ".join(map(str, changes))


def largest_parts(parts: Parts, num: int = 3) -> str:
    """The largest parts of a stage, in words."""
    largest = sorted(parts, key=lambda name: -parts[name])[:num]
    return ", ".join(f"{name} {in_gigabytes(parts[name])}" for name in largest)


def in_gigabytes(size: int) -> str:
    """12.3 GB; GB are 2^30 bytes, as those of the devices."""
    return f"{size / GIGABYTE:.1f} GB"


def models_of(settings: Settings) -> Models:
    """The shapes of the run's models, from their configs. Raises InputError."""
    from mopd.models.teachers import EXTERNAL_PATH

    student = read_shape(_config_folder(settings.model.path, "model.path"), settings.train.lora)
    teacher = settings.train.teacher
    if teacher.kind != "external":
        return Models(student, student)
    return Models(student, read_shape(_config_folder(teacher.path, EXTERNAL_PATH)))


def _config_folder(path: str, setting: str) -> Path:
    """The folder with a model's config: of a model of the hub that alone is loaded, and a folder may hold no more."""
    from mopd.hub.fetch import fetch_matching, pin
    from mopd.hub.names import model_name
    from mopd.hub.views import is_there, view_folder
    from mopd.models.folders import resolve_model

    name = model_name(path)
    if name is not None and not (name.commit and is_there(view_folder(name))):
        return fetch_matching(pin(name, setting), setting, ["config.json"])
    folder = Path(path).expanduser()
    return folder if (folder / "config.json").is_file() else resolve_model(path, setting)


def find_device(settings: Settings) -> Device:
    """What the stages of a run get here: the GPUs, or the machine's memory within its control groups."""
    import torch

    kind = "cuda" if torch.cuda.is_available() else "cpu"
    capacity = torch.cuda.mem_get_info()[1] if kind == "cuda" else total_memory()
    number = _num_asked(settings) or (torch.cuda.device_count() if kind == "cuda" else 1)
    return _device(settings, kind, capacity, number)


def read_device(text: str, settings: Settings) -> Device:
    """The device that `80GB` (a GPU), `8x80GB` or `cpu:16GB` stands for. Raises InputError.

    Without a number there are as many as `place.devices` says, or else as ranks and engines take.
    """
    match = SIZE.fullmatch(text.strip())
    capacity = int(float(match[3]) * GIGABYTE) if match else 0
    if match is None or not capacity:
        raise InputError(
            f"--device {text}: write the memory of a GPU as 80GB, that of eight as 8x80GB, or that of a machine as "
            "cpu:16GB"
        )
    needed = max(settings.train.ranks, settings.generate.num_devices)
    number = int(match[2] or 0) or _num_asked(settings) or needed
    return _device(settings, "cpu" if match[1] else "cuda", capacity, number)


def _num_asked(settings: Settings) -> int | None:
    """Devices of this host that the place is given; None for those there are."""
    place = settings.place
    return place.devices if place.kind == "local" and place.devices != "auto" else None


def _device(settings: Settings, kind: str, capacity: int, number: int) -> Device:
    """A GPU is taken to multiply in bfloat16, where it is not the one that is here."""
    import torch

    from mopd.models.folders import autocast_dtype

    is_here = kind == "cpu" or torch.cuda.is_available()
    precision = settings.model.precision if is_here or settings.model.precision != "auto" else "bfloat16"
    return Device(kind, capacity, FLOAT32 if autocast_dtype(precision, kind) is None else BFLOAT16, number)
