"""Gradient checkpointing: a layer's activations are computed again in the backward pass instead of kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from mopd.errors import InputError
from mopd.memory.available import available_memory
from mopd.memory.footprint import FLOAT32, Widths, activation_bytes, logits_bytes, longest_pass, shape_of
from mopd.models.folders import autocast_dtype
from mopd.trainer.ranks import ALONE, Ranks
from mopd.trainer.shares import own_weights

if TYPE_CHECKING:  # training runs where pydantic is not installed
    from mopd.settings import Settings

SMALL = 1 << 30
"""Bytes of activations that nobody need look for."""


def set_checkpointing(student: Any, settings: Settings, device: torch.device, ranks: Ranks = ALONE) -> bool:
    """Switch it on where `train.gradient_checkpointing` asks for it; returns whether it is on. All ranks do the same.

    Raises InputError for a model that has none, where it must be on.
    """
    asked = settings.train.gradient_checkpointing
    if asked == "off" or (asked == "auto" and all(ranks.gather(_fits(student, settings, device)))):
        return False
    if not student.supports_gradient_checkpointing:
        if asked == "auto":
            return False
        raise InputError(
            f"train.gradient_checkpointing: {student.config.model_type} models have none; set it to off, and lower "
            "train.max_tokens_per_pass where memory is short"
        )
    student.gradient_checkpointing_enable({"use_reentrant": False})
    return True


def _fits(student: Any, settings: Settings, device: torch.device) -> bool:
    """Whether the activations of a micro-batch fit beside what training will take besides."""
    train, shape = settings.train, shape_of(student)
    dtype = autocast_dtype(settings.model.precision, device) or torch.float32
    widths, num_tokens = Widths(FLOAT32, dtype.itemsize), longest_pass(settings)
    activations = activation_bytes(shape, widths, num_tokens=num_tokens, checkpointing=False, mask_length=num_tokens)
    if activations < SMALL:
        return True
    num_trained = sum(weight.numel() for weight in own_weights(student).values())
    moment = 1 if train.optimizer == "adamw_8bit" else FLOAT32
    logits = logits_bytes(shape, widths, num_positions=settings.score.chunk_positions, gradient=True)
    gradients_and_moments = (FLOAT32 + 2 * moment) * num_trained
    return activations + logits + gradients_and_moments < free_memory(device)


def free_memory(device: torch.device) -> int:
    """Bytes that this process may still take on a device."""
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else available_memory()
