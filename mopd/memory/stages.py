"""What each stage of a run takes on its device, part by part, at its largest moment: by `mopd.memory.footprint`.

The longest prompts, replies and contexts that the settings allow are reckoned with, and the batches that are cut from
them. On a CPU the process itself counts too, and what a stage keeps of its shard.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mopd.memory.footprint import (
    BFLOAT16,
    FLOAT32,
    ModelShape,
    Widths,
    activation_bytes,
    autocast_bytes,
    cache_bytes,
    logits_bytes,
    longest_pass,
    reading_bytes,
    support_bytes,
    trained_bytes,
    weight_bytes,
)
from mopd.objectives import needs_reference, needs_support, needs_teacher

if TYPE_CHECKING:
    from mopd.settings import Settings

GIGABYTE = 1 << 30
Parts = dict[str, int]
"""Bytes by what they are for."""
STAGES = ("generate", "score", "train")

PROCESS = {("cpu", "torch"): 610 << 20, ("cpu", "vllm"): 1100 << 20, ("cuda", "torch"): 600 << 20}
"""What a process with its libraries takes before a model is loaded; on a GPU, the device's context."""
SMALL_ACTIVATIONS = GIGABYTE
"""Activations below which they are kept, where that is left open (`mopd.trainer.gradient_checkpointing`)."""
EIGHT_BIT = 1 + FLOAT32 / 256
"""Bytes of a moment in 8 bits, in blocks of 256 with a scale."""
SUPPORT_WIDTH = 8
"""Bytes of an entry of a support: an id and a log-probability."""


class Device(NamedTuple):
    """What a stage runs on."""

    kind: str
    """cpu or cuda."""
    capacity: int
    """Bytes that it has, other processes aside."""
    compute: int
    """Bytes of a number in matrix products."""


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


def stage_memory(settings: Settings, models: Models, device: Device) -> dict[str, Parts]:
    """The parts of each stage; their sum is its peak."""
    stages: dict[str, Callable[[Settings, Models, Device], Parts]] = {
        "generate": generate_memory,
        "score": score_memory,
        "train": train_memory,
    }
    return {
        name: {part: size for part, size in stages[name](settings, models, device).items() if size} for name in STAGES
    }


def generate_memory(settings: Settings, models: Models, device: Device) -> Parts:
    """Sampling by the engine that the settings name."""
    if settings.generate.engine == "fake":
        return {}
    return (_vllm_memory if settings.generate.engine == "vllm" else _transformers_memory)(settings, models, device)


def _vllm_memory(settings: Settings, models: Models, device: Device) -> Parts:
    """Keys and values: on a GPU vLLM takes what is left, and needs room for one sequence."""
    from mopd.engines.vllm_engine import CPU_CACHE_VARIABLE, MAX_CPU_CACHE_BYTES, MIN_BATCHED_TOKENS

    generate, shape, width = settings.generate, models.student, device.compute
    window = generate.max_prompt_tokens + generate.max_tokens
    cache = cache_bytes(shape, width, num_tokens=window)
    if device.kind == "cpu":
        given = os.environ.get(CPU_CACHE_VARIABLE)
        cache = int(given) << 30 if given else min(MAX_CPU_CACHE_BYTES, device.capacity // 2)
    widths = Widths(width, width)
    step = reading_bytes(shape, widths, num_tokens=max(window, MIN_BATCHED_TOKENS))
    logits = logits_bytes(shape, widths, num_positions=generate.max_num_seqs, gradient=False)
    return {
        **_process(device, "vllm"),
        "weights": shape.num_params * width + 2 * shape.num_adapter * width,
        "keys and values": cache,
        "activations": step,
        "logits": logits,
    }


def _transformers_memory(settings: Settings, models: Models, device: Device) -> Parts:
    """Requests with prompts of equal length are decoded together."""
    generate, shape = settings.generate, models.student
    widths = Widths(FLOAT32, device.compute)
    batch = min(generate.max_num_seqs, settings.prompts_per_shard * generate.num_samples)
    window = generate.max_prompt_tokens + generate.max_tokens
    decoding = {
        "weights in bfloat16": autocast_bytes(shape, widths, device.compute),
        "keys and values": cache_bytes(shape, widths.residual, num_tokens=batch * window),
        "activations": reading_bytes(shape, widths, num_tokens=batch * generate.max_prompt_tokens),
        "logits": logits_bytes(shape, widths, num_positions=batch, gradient=False),
    }
    return {
        **_process(device, "torch"),
        "weights": weight_bytes(shape, device.compute),
        **decoding,
        **_loading(shape, device, decoding),
    }


def score_memory(settings: Settings, models: Models, device: Device) -> Parts:
    """Student and teacher are loaded, one of them reads; what they said of a shard waits on the host."""
    lengths, num_prompts = Lengths.of(settings), settings.prompts_per_shard
    num_tokens = num_prompts * settings.generate.num_samples * lengths.response
    on_host = device.kind == "cpu" and needs_support(settings)
    readings = [
        _reading(settings, shape, device, prefix)
        for shape, prefix in ((models.student, lengths.prompt), (models.teacher, lengths.context))
    ]
    reading = max(readings, key=lambda parts: sum(parts.values()))
    return {
        **_process(device, "torch"),
        "weights": weight_bytes(models.student, device.compute),
        "teacher": _scoring_teachers(settings, models, device),
        **reading,
        **_loading(models.teacher, device, reading),
        "scores of a shard": 3 * SUPPORT_WIDTH * settings.score.top_k * num_tokens if on_host else 0,
    }


def _loading(shape: ModelShape, device: Device, reading: Parts) -> Parts:
    """On a CPU the file of the model that is loaded last is in memory beside its weights, before anything is read."""
    if device.kind != "cpu" or device.compute == FLOAT32:
        return {}
    return {"loading": max(0, weight_bytes(shape, FLOAT32) - sum(reading.values()))}


def _reading(settings: Settings, shape: ModelShape, device: Device, prefix: int) -> Parts:
    """The largest pass of a model that reads rollouts behind prefixes of that length."""
    score, widths = settings.score, Widths(FLOAT32, device.compute)
    part = Pass.of(
        prefix,
        settings.generate.max_tokens,
        max_tokens=score.max_tokens_per_pass,
        num_samples=settings.generate.num_samples,
        num_prompts=settings.prompts_per_shard,
    )
    positions = min(score.chunk_positions, part.num_positions)
    return {
        "weights in bfloat16": autocast_bytes(shape, widths, device.compute),
        "activations": reading_bytes(shape, widths, num_tokens=part.num_tokens, mask_length=part.mask_length),
        "logits": logits_bytes(shape, widths, num_positions=positions, gradient=False),
    }


def _scoring_teachers(settings: Settings, models: Models, device: Device) -> int:
    """The models that are loaded beside the student to be scored by."""
    kind, later = settings.train.teacher.kind, settings.rounds > 1
    differs = kind == "external" or (later and kind != "live")
    reference = later and needs_reference(settings) and kind not in ("frozen", "trust_region")
    others = [*([models.teacher] if differs else []), *([models.student] if reference else [])]
    return sum(weight_bytes(shape, device.compute) for shape in others)


def train_memory(settings: Settings, models: Models, device: Device) -> Parts:
    """The largest micro-batch, when the gradients of those before it and the moments of earlier steps are there."""
    train, generate, shape, lengths = settings.train, settings.generate, models.student, Lengths.of(settings)
    widths, linear = Widths(FLOAT32, device.compute), FLOAT32 if train.master_weights == "float32" else BFLOAT16
    num_prompts = -(-generate.num_prompts // train.updates_per_round)
    part = Pass.of(
        lengths.prompt,
        lengths.response,
        max_tokens=train.max_tokens_per_pass,
        num_samples=generate.num_samples,
        num_prompts=num_prompts,
    )
    num_tokens = num_prompts * generate.num_samples * lengths.response
    on_host = device.kind == "cpu"
    return {
        **_process(device, "torch"),
        "weights": weight_bytes(shape, linear) + FLOAT32 * shape.num_adapter,
        "weights in bfloat16": autocast_bytes(shape, widths, linear),
        "gradients": trained_bytes(shape),
        "optimizer": 0 if train.offload_optimizer and not on_host else optimizer_bytes(settings, shape),
        "teacher": _teacher_bytes(settings, models, device),
        **_micro_batch(settings, shape, device, part),
        "scores of an update": SUPPORT_WIDTH * (_num_support(settings) + 1) * num_tokens if on_host else 0,
    }


def _micro_batch(settings: Settings, shape: ModelShape, device: Device, part: Pass) -> Parts:
    """What a micro-batch takes; the optimizer's own step, when that has gone, takes less."""
    widths, positions = Widths(FLOAT32, device.compute), min(settings.score.chunk_positions, part.num_positions)
    return {
        "activations": activation_bytes(
            shape,
            widths,
            num_tokens=part.num_tokens,
            checkpointing=checkpoints(settings, shape, device),
            mask_length=part.mask_length,
        ),
        "logits": logits_bytes(shape, widths, num_positions=positions, gradient=True),
        "support": support_bytes(part.num_positions, _num_support(settings)),
    }


def _num_support(settings: Settings) -> int:
    """Ids of the support at a position, in training."""
    return settings.score.top_k if needs_support(settings) else 0


def checkpoints(settings: Settings, shape: ModelShape, device: Device) -> bool:
    """Whether activations are computed again, as `mopd.trainer.gradient_checkpointing` decides it."""
    train, widths = settings.train, Widths(FLOAT32, device.compute)
    if train.gradient_checkpointing != "auto":
        return train.gradient_checkpointing == "on"
    num_tokens = longest_pass(settings)
    whole = activation_bytes(shape, widths, num_tokens=num_tokens, checkpointing=False, mask_length=num_tokens)
    process = sum(_process(device, "torch").values())
    rest = trained_bytes(shape) + optimizer_bytes(settings, shape) + weight_bytes(shape, FLOAT32) + process
    logits = logits_bytes(shape, widths, num_positions=settings.score.chunk_positions, gradient=True)
    return whole >= SMALL_ACTIVATIONS and whole + logits + rest >= device.capacity


def optimizer_bytes(settings: Settings, shape: ModelShape) -> int:
    """Two moments a weight, and the bits that rounding takes from weights in bfloat16."""
    moment = FLOAT32 if settings.train.optimizer == "adamw" else EIGHT_BIT
    narrow = settings.train.master_weights == "bfloat16" and not shape.num_adapter
    return round(2 * moment * shape.num_trained) + (BFLOAT16 * shape.num_narrow if narrow else 0)


def _teacher_bytes(settings: Settings, models: Models, device: Device) -> int:
    """Teachers in memory while training: the next round's, and one that is read again."""
    teacher, shape = settings.train.teacher, models.student
    follows = 0
    if teacher.kind == "ema" and (shape.num_adapter or (device.kind == "cpu" and teacher.place == "host")):
        follows = trained_bytes(shape)
    return follows + (weight_bytes(models.teacher, FLOAT32) if needs_teacher(settings) else 0)


def _process(device: Device, libraries: str) -> Parts:
    return {"process": PROCESS.get((device.kind, libraries), PROCESS[device.kind, "torch"])}
