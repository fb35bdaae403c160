"""What stages are reckoned with: a device, the shapes of the models, the longest texts, the largest forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mopd.memory.footprint import ModelShape

if TYPE_CHECKING:
    from mopd.settings import Settings

GIGABYTE = 1 << 30
Parts = dict[str, int]
"""Bytes by what they are for."""

PROCESS = {("cpu", "torch"): 610 << 20, ("cpu", "vllm"): 1100 << 20, ("cuda", "torch"): 600 << 20}
"""What a process with its libraries takes before a model is loaded; on a GPU, the device's context."""
SUPPORT_WIDTH = 8
"""Bytes of an entry of a support: an id and a log-probability."""


class Device(NamedTuple):
    """What a stage runs on."""

    kind: str
    """cpu or cuda."""
    capacity: int
    """Bytes that it has, other processes aside; of a CPU, those of the machine, whatever sets its cores are cut in."""
    compute: int
    """Bytes of a number in matrix products."""
    number: int = 1
    """How many there are of it here."""


@dataclass(frozen=True)
class Models:
    """The models of a run."""

    student: ModelShape
    teacher: ModelShape
    """Of a teacher that is another model; else the student's."""


class Lengths(NamedTuple):
    """The longest that the settings allow, in tokens."""

    prompt: int
    response: int
    context: int

    @classmethod
    def of(cls, settings: Settings) -> Lengths:
        generate = settings.generate
        peers = 0 if settings.condition.variant.kind == "none" else settings.condition.max_context_tokens
        return cls(generate.max_prompt_tokens, generate.max_tokens, max(generate.max_prompt_tokens, peers))


class Pass(NamedTuple):
    """The largest forward pass of a stage."""

    num_tokens: int
    num_positions: int
    """Tokens that are predicted."""
    mask_length: int
    """Of a tree of several rollouts; 0: there is none."""

    @classmethod
    def of(cls, prefix: int, response: int, *, max_tokens: int, num_samples: int, num_prompts: int) -> Pass:
        """Trees are filled up to `max_tokens`; a rollout that is longer has a pass of its own."""
        longest, tree = prefix + response - 1, prefix + num_samples * (response - 1)
        most = max(longest, min(max_tokens, num_prompts * tree))
        masked = min(max_tokens, tree) if num_samples > 1 and max_tokens > prefix else 0
        return cls(most, min(most, num_prompts * num_samples * response), masked)


def num_processes(settings: Settings, device: Device) -> dict[str, int]:
    """How many processes work for a stage at once on this host: engines, scorers, ranks; of a cluster, its part."""
    place, num_shards = settings.place, -(-settings.generate.num_prompts // settings.prompts_per_shard)
    devices = min(device.number, place.devices) if place.kind == "local" and place.devices != "auto" else device.number
    engines = min(place.replicas.get("generate", num_shards), devices // settings.generate.num_devices, num_shards)
    scorers = min(place.replicas.get("score", num_shards), devices, num_shards)
    ranks = settings.train.ranks if place.kind == "local" else min(settings.train.ranks, device.number)
    return {"generate": max(engines, 1), "score": scorers, "train": ranks}


def process_memory(device: Device, libraries: str) -> Parts:
    """The process itself, with the libraries that it has loaded: torch or vllm."""
    return {"process": PROCESS.get((device.kind, libraries), PROCESS[device.kind, "torch"])}
