"""What the stages of a run on GPUs take of the host's memory, all processes of a stage together.

Files that are mapped while a model is loaded give way, and are left out; so are the libraries of CUDA, which nobody
measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mopd.memory.footprint import trained_bytes
from mopd.memory.sizes import PROCESS, Device, Models, Parts, num_processes
from mopd.memory.stages import score_memory
from mopd.memory.training import num_shares, optimizer_bytes, saved_bytes, train_memory

if TYPE_CHECKING:
    from mopd.settings import Settings

FIXES = {
    "generate": "lower place.replicas",
    "score": "lower prompts_per_shard, or place.replicas",
    "train": "set train.teacher.place to disk and train.offload_optimizer to false, or lower train.ranks",
}
"""By stage, what lowers it."""


def host_memory(settings: Settings, models: Models, device: Device) -> Parts:
    """Bytes by stage; none on a CPU, where the host's memory is the device's."""
    if device.kind == "cpu":
        return {}
    processes, on_cpu = num_processes(settings, device), device._replace(kind="cpu")
    engines = processes["generate"] * settings.generate.num_devices
    shard = score_memory(settings, models, on_cpu)["scores of a shard"]
    update = train_memory(settings, models, on_cpu)["scores of an update"]
    scorer, rank = PROCESS["cpu", "torch"] + shard, PROCESS["cpu", "torch"] + update + _offloaded(settings, models)
    return {
        "generate": engines * PROCESS["cpu", "vllm"],
        "score": processes["score"] * scorer,
        "train": processes["train"] * rank + _following(settings, models) + saved_bytes(settings, models.student),
    }


def _offloaded(settings: Settings, models: Models) -> int:
    """The moments of a rank that lie here between steps."""
    moments = optimizer_bytes(settings, models.student) if settings.train.offload_optimizer else 0
    return moments // num_shares(settings)


def _following(settings: Settings, models: Models) -> int:
    """The next round's teacher, which the first rank has here unless it lies on the disk or is an adapter."""
    teacher = settings.train.teacher
    if teacher.kind != "ema" or teacher.place == "disk" or models.student.num_adapter:
        return 0
    return trained_bytes(models.student)
