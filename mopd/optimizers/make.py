"""The optimizer that the settings ask for, and its state by the names of the weights, as it is saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mopd.errors import InputError
from mopd.models.folders import autocast_dtype
from mopd.optimizers.moments import MOMENTS, SCALE, EightBitMoments, Float32Moments
from mopd.optimizers.piecewise import PIECE, REMAINDER, PiecewiseAdamW, joined

if TYPE_CHECKING:  # training runs where pydantic is not installed
    from mopd.settings import Settings, TrainSettings

STEP = "step"


def make_optimizer(weights: list[Tensor], settings: TrainSettings) -> PiecewiseAdamW:
    """AdamW over weights. Raises InputError where a package is missing."""
    return PiecewiseAdamW(
        weights,
        moments=EightBitMoments() if settings.optimizer == "adamw_8bit" else Float32Moments(),
        offload=settings.offload_optimizer,
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
    )


def reading_dtype(precision: str, device: torch.device) -> torch.dtype:
    """What linear layers compute in. Raises InputError where it is float32."""
    dtype = autocast_dtype(precision, device)
    if dtype is None:
        raise InputError(
            f"train.master_weights: bfloat16 is for passes in bfloat16 and with model.precision: {precision} they are "
            "in float32 here; set model.precision to bfloat16, or train.master_weights to float32"
        )
    return dtype


def check_optimizer(settings: Settings, device: torch.device | None) -> None:
    """Raises InputError for what can't be had, on no device (None: it is another host's), or not on this one."""
    if settings.train.optimizer == "adamw_8bit":
        EightBitMoments()
    if device is None:
        return
    if settings.train.master_weights == "bfloat16":
        reading_dtype(settings.model.precision, device)
    if settings.train.offload_optimizer and device.type == "cpu":
        raise InputError(
            "train.offload_optimizer: keeps the optimizer's state in the host's memory, and training is there; "
            "set it to false, or train.optimizer to adamw_8bit"
        )


def named_state(optimizer: torch.optim.AdamW, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """What is kept of each weight, by `KIND.NAME`, the number of steps left out: it is that of all."""
    return {
        f"{kind}.{name}": value.contiguous()
        for name, weight in weights.items()
        for kind, value in optimizer.state.get(weight, {}).items()
        if kind != STEP
    }


@torch.no_grad()
def rejoin(weights: dict[str, Tensor], saved: dict[str, Tensor]) -> None:
    """Give float32 weights back what was kept beside them in `saved`, which no longer has it."""
    for name, weight in weights.items():
        remainder = saved.pop(f"{REMAINDER}.{name}", None)
        if remainder is not None:
            weight.copy_(joined(weight.bfloat16(), remainder.to(weight.device)))


def restore(
    optimizer: PiecewiseAdamW,
    weights: dict[str, Tensor],
    saved: dict[str, Tensor],
    steps: int,
    *,
    whole: dict[str, Tensor] | None = None,
    cut: Callable[[Tensor, Tensor], Tensor] = lambda values, weight: values,
) -> None:
    """Take over moments that were saved, also from an optimizer that kept them in other ways.

    `whole`: what `weights` are shares of, where they are; `cut(values, weight)` gives a share of whole values.
    """
    for name, weight in weights.items():
        state = {kind: saved[f"{kind}.{name}"] for kind in _KINDS if f"{kind}.{name}" in saved}
        if state:
            like = weight if whole is None else whole[name]
            state = {kind: cut(value, like) for kind, value in _converted(state, optimizer, like).items()}
            optimizer.state[weight] |= {STEP: torch.tensor(float(steps)), **state}


_KINDS = (*MOMENTS, *(moment + SCALE for moment in MOMENTS))


def _converted(state: dict[str, Tensor], optimizer: PiecewiseAdamW, weight: Tensor) -> dict[str, Tensor]:
    """A weight's moments as the optimizer keeps them, where it does."""
    moments, home = optimizer.moments, optimizer.home(weight)
    made: dict[str, Tensor] = {}
    for name in MOMENTS:
        moments.make(made, name, weight, home)
    if made.keys() == state.keys():
        return {kind: value.to(home) for kind, value in state.items()}
    source = EightBitMoments() if MOMENTS[0] + SCALE in state else Float32Moments()
    for name in MOMENTS:
        for start in range(0, weight.numel(), PIECE):
            piece = slice(start, min(start + PIECE, weight.numel()))
            moments.write(made, name, piece, source.read(state, name, piece, weight.device))
    return made
