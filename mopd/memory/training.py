"""What training takes on its device, part by part, at its largest moment; of each rank, where there are several.

With `train.shard: none` a rank has what one process has. With `full` it has its share of weights, gradients and
moments, and whole for a while what a pass reads: embedding, output layer, the layer in use, and the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mopd.memory.footprint import (
    BFLOAT16,
    FLOAT32,
    ModelShape,
    Widths,
    activation_bytes,
    autocast_bytes,
    logits_bytes,
    longest_pass,
    support_bytes,
    trained_bytes,
    weight_bytes,
)
from mopd.memory.sizes import GIGABYTE, SUPPORT_WIDTH, Device, Lengths, Models, Parts, Pass, process_memory
from mopd.objectives import needs_support, needs_teacher

if TYPE_CHECKING:
    from mopd.settings import Settings

SMALL_ACTIVATIONS = GIGABYTE
"""Activations below which they are kept, where that is left open (`mopd.trainer.gradient_checkpointing`)."""
GATHERED_LAYERS = 2
"""Layers that are whole at once under FSDP2: the one in use, and the next, which is on its way."""
FOLLOWING, WHOLE_MOMENTS = FIRST_RANK = ("following teacher", "whole moments")
"""Parts that the first rank alone has."""
EIGHT_BIT = 1 + FLOAT32 / 256
"""Bytes of a moment in 8 bits, in blocks of 256 with a scale."""


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
    on_host, shares = device.kind == "cpu", num_shares(settings)
    moments = 0 if train.offload_optimizer and not on_host else optimizer_bytes(settings, shape)
    return {
        **process_memory(device, "torch"),
        "weights": (weight_bytes(shape, linear) + FLOAT32 * shape.num_adapter) // shares,
        "weights in bfloat16": autocast_bytes(shape, widths, linear),
        "gradients": trained_bytes(shape) // shares,
        "optimizer": moments // shares,
        "gathered weights": gathered_bytes(shape) if shares > 1 else 0,
        FOLLOWING: _following_bytes(settings, shape, device),
        WHOLE_MOMENTS: saved_bytes(settings, shape) if on_host else 0,
        "teacher": weight_bytes(models.teacher, FLOAT32) if needs_teacher(settings) else 0,
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
    """Whether activations are computed again: by the setting; `auto` as `mopd.trainer.gradient_checkpointing`."""
    train, widths = settings.train, Widths(FLOAT32, device.compute)
    if train.gradient_checkpointing != "auto":
        return train.gradient_checkpointing == "on"
    num_tokens = longest_pass(settings)
    whole = activation_bytes(shape, widths, num_tokens=num_tokens, checkpointing=False, mask_length=num_tokens)
    process = sum(process_memory(device, "torch").values())
    kept = trained_bytes(shape) + optimizer_bytes(settings, shape) + weight_bytes(shape, FLOAT32)
    rest = kept // num_shares(settings) + process
    logits = logits_bytes(shape, widths, num_positions=settings.score.chunk_positions, gradient=True)
    return whole >= SMALL_ACTIVATIONS and whole + logits + rest >= device.capacity


def num_shares(settings: Settings) -> int:
    """Among how many ranks weights, gradients and moments are divided."""
    return settings.train.ranks if settings.train.shard == "full" else 1


def gathered_bytes(shape: ModelShape) -> int:
    """Weights and gradients in float32 that are whole during a pass; the output layer's gradient is with the logits."""
    layers, matrix = GATHERED_LAYERS * shape.num_linear // shape.num_layers, shape.vocab * shape.hidden
    embedding = 0 if shape.tied else matrix
    return FLOAT32 * (2 * layers + 2 * embedding + matrix)


def saved_bytes(settings: Settings, shape: ModelShape) -> int:
    """The moments of all ranks that have a share, which the first has whole, in the host's memory, to save them.

    On a CPU they come on top of what passes took, which has not been given back by then.
    """
    return optimizer_bytes(settings, shape) if num_shares(settings) > 1 else 0


def optimizer_bytes(settings: Settings, shape: ModelShape) -> int:
    """Two moments a weight, and the bits that rounding takes from weights in bfloat16."""
    moment = FLOAT32 if settings.train.optimizer == "adamw" else EIGHT_BIT
    narrow = settings.train.master_weights == "bfloat16" and not shape.num_adapter
    return round(2 * moment * shape.num_trained) + (BFLOAT16 * shape.num_narrow if narrow else 0)


def _following_bytes(settings: Settings, shape: ModelShape, device: Device) -> int:
    """The next round's teacher where it lies on the device: an adapter's, or one in the memory of a CPU."""
    teacher = settings.train.teacher
    if teacher.kind != "ema" or not (shape.num_adapter or (device.kind == "cpu" and teacher.place == "host")):
        return 0
    return trained_bytes(shape)
