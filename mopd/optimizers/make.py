"""The optimizer that the settings ask for, and its state by the names of the weights, as it is saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mopd.optimizers.moments import MOMENTS, SCALE, EightBitMoments, Float32Moments
from mopd.optimizers.piecewise import PIECE, REMAINDER, PiecewiseAdamW, joined

if TYPE_CHECKING:  # training runs where pydantic is not installed
    from mopd.settings import TrainSettings

STEP = "step"


def make_optimizer(weights: list[Tensor], settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW over weights. Raises InputError where a package is missing.

    torch's own where nothing asks for another; `foreach` would make temporaries as large as all weights on a GPU.
    """
    options: dict[str, Any] = {
        "lr": settings.learning_rate,
        "betas": settings.betas,
        "weight_decay": settings.weight_decay,
    }
    if (settings.optimizer, settings.master_weights, settings.offload_optimizer) == ("adamw", "float32", False):
        return torch.optim.AdamW(weights, foreach=False, **options)
    moments = EightBitMoments() if settings.optimizer == "adamw_8bit" else Float32Moments()
    return PiecewiseAdamW(weights, moments=moments, offload=settings.offload_optimizer, **options)


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


def restore(optimizer: torch.optim.AdamW, weights: dict[str, Tensor], saved: dict[str, Tensor], steps: int) -> None:
    """Take over moments that were saved, also from an optimizer that kept them in other ways."""
    for name, weight in weights.items():
        state = {kind: saved[f"{kind}.{name}"] for kind in _KINDS if f"{kind}.{name}" in saved}
        if state:
            state = _converted(state, optimizer, weight)
            optimizer.state[weight] |= {STEP: torch.tensor(float(steps)), **state}


_KINDS = (*MOMENTS, *(moment + SCALE for moment in MOMENTS))


def _converted(state: dict[str, Tensor], optimizer: torch.optim.AdamW, weight: Tensor) -> dict[str, Tensor]:
    """A weight's moments as the optimizer keeps them, where it does."""
    moments = optimizer.moments if isinstance(optimizer, PiecewiseAdamW) else Float32Moments()
    home = optimizer.home(weight) if isinstance(optimizer, PiecewiseAdamW) else weight.device
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
