"""What each stage of a run takes on its device, part by part, at its largest moment: by `mopd.memory.footprint`.

The longest prompts, replies and contexts that the settings allow are reckoned with, and the batches that are cut from
them. On a CPU the process itself counts too, and what a stage keeps of its shard; processes that work beside each other
share the machine's memory there, and a GPU is one process's own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from mopd.memory.footprint import (
    FLOAT32,
    ModelShape,
    Widths,
    autocast_bytes,
    cache_bytes,
    logits_bytes,
    reading_bytes,
    weight_bytes,
)
from mopd.memory.sizes import SUPPORT_WIDTH, Device, Lengths, Models, Parts, Pass, num_processes, process_memory
from mopd.memory.training import FIRST_RANK, train_memory
from mopd.objectives import needs_reference, needs_support

if TYPE_CHECKING:
    from mopd.settings import Settings

STAGES = ("generate", "score", "train")


def stage_memory(settings: Settings, models: Models, device: Device) -> dict[str, Parts]:
    """The parts of each stage; their sum is its peak, on a device or, of all its processes, on a CPU."""
    stages: dict[str, Callable[[Settings, Models, Device], Parts]] = {
        "generate": generate_memory,
        "score": score_memory,
        "train": train_memory,
    }
    sharing = num_processes(settings, device) if device.kind == "cpu" else dict.fromkeys(STAGES, 1)
    return {name: _together(stages[name](settings, models, device), sharing[name]) for name in STAGES}


def _together(parts: Parts, num_processes: int) -> Parts:
    """Of so many processes, without parts that are nothing."""
    return {part: size * (1 if part in FIRST_RANK else num_processes) for part, size in parts.items() if size}


def generate_memory(settings: Settings, models: Models, device: Device) -> Parts:
    """Sampling by the engine that the settings name."""
    if settings.generate.engine == "fake":
        return {}
    return (_vllm_memory if settings.generate.engine == "vllm" else _transformers_memory)(settings, models, device)


def _vllm_memory(settings: Settings, models: Models, device: Device) -> Parts:
    """Keys and values: on a GPU vLLM takes what is left, and needs room for one sequence.

    Of the devices of an engine each has its share of weights, of heads, and of what layers make inside.
    """
    from mopd.engines.vllm_engine import CPU_CACHE_VARIABLE, MAX_CPU_CACHE_BYTES, MIN_BATCHED_TOKENS, most_cache_bytes

    generate, shape, width = settings.generate, models.student, device.compute
    window, shares = generate.max_prompt_tokens + generate.max_tokens, generate.num_devices
    cache = cache_bytes(shape, width, num_tokens=window) // min(shares, shape.num_key_heads)
    if device.kind == "cpu":
        given, engines = os.environ.get(CPU_CACHE_VARIABLE), num_processes(settings, device)["generate"]
        most = most_cache_bytes(shape, width, window=window, num_sequences=generate.max_num_seqs)
        most = MAX_CPU_CACHE_BYTES if generate.engine_arguments else min(MAX_CPU_CACHE_BYTES, most)
        cache = int(given) << 30 if given else min(most, device.capacity // 2 // engines)
        shares = 1  # all of them are in the same memory
    widths = Widths(width, width)
    step = reading_bytes(shape, widths, num_tokens=max(window, MIN_BATCHED_TOKENS), shares=shares)
    logits = logits_bytes(shape, widths, num_positions=generate.max_num_seqs, gradient=False)
    return {
        **process_memory(device, "vllm"),
        "weights": (shape.num_params * width + 2 * shape.num_adapter * width) // shares,
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
        **process_memory(device, "torch"),
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
        **process_memory(device, "torch"),
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
