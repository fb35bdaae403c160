"""AdamW whose state may lie elsewhere than the weights or have fewer bits, and whose weights may have half the bits.

Each weight is moved a piece at a time by torch's own `adamw`, in float32 and on the weight's device. Nothing as large
as the model is ever made beside it, and the numbers are those of `torch.optim.AdamW`.

A weight in bfloat16 has the bits that rounding took from it in the state: the two together are the float32 weight,
exactly, so that no update is lost, however small. Rounding to bfloat16 alone loses those below 1/512 of the weight;
stochastic rounding keeps them on average, beside noise that is much larger (docs/memory.md has the figures).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from mopd.optimizers.moments import MOMENTS, Float32Moments, Moments

PIECE = 2**20
"""Weights that are moved at once: 4 MB in float32, which an allocator keeps for the next."""
REMAINDER = "remainder"
"""The lower 16 bits of float32 weights, as int16, where the upper ones are the weight."""


class PiecewiseAdamW(torch.optim.AdamW):
    """`torch.optim.AdamW`, piece by piece."""

    def __init__(
        self, weights: list[Tensor], *, moments: Moments | None = None, offload: bool = False, **options: Any
    ) -> None:
        """`moments`: how they are kept, in float32 if left out. `offload`: the state lies in the host's memory."""
        super().__init__(weights, foreach=False, **options)
        self.moments = moments or Float32Moments()
        self.offload = offload

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, group)

    def _move(self, weight: Tensor, group: dict[str, Any]) -> None:
        state = self._state_of(weight)
        for start, whole in weight_pieces(weight, state):
            piece = slice(start, start + len(whole))
            gradient = weight.grad.view(-1)[piece].to(whole.dtype)  # type: ignore[union-attr]
            first, second = (self.moments.read(state, name, piece, weight.device) for name in MOMENTS)
            _adamw(whole, gradient, first, second, state["step"].clone(), group)
            for name, moment in zip(MOMENTS, (first, second)):
                self.moments.write(state, name, piece, moment)
            if REMAINDER in state:
                upper, lower = split(whole)
                weight.view(-1)[piece].copy_(upper)
                state[REMAINDER].view(-1)[piece].copy_(lower)
        state["step"] += 1

    def _state_of(self, weight: Tensor) -> dict[str, Tensor]:
        """Its state, made with its first step."""
        state: dict[str, Tensor] = self.state[weight]
        if "step" not in state:
            state["step"] = torch.tensor(0.0)
            for name in MOMENTS:
                self.moments.make(state, name, weight, self.home(weight))
        return state

    def home(self, weight: Tensor) -> torch.device:
        """Where the state of a weight is kept."""
        return torch.device("cpu") if self.offload else weight.device

    @torch.no_grad()
    def narrow(self, weight: Tensor) -> None:
        """Keep a weight in bfloat16 from now on, and what rounding takes from it in its state.

        Its gradient is float32: in bfloat16 a sum over many micro-batches would stop growing.
        """
        upper, lower = split(weight.data)
        weight.data = upper
        weight.grad_dtype = torch.float32
        self.state[weight][REMAINDER] = lower.to(self.home(weight))


def weight_pieces(weight: Tensor, state: Mapping[str, Tensor]) -> Iterator[tuple[int, Tensor]]:
    """A weight in at least float32, as flat pieces, each with the place of its first number."""
    flat = weight.detach().view(-1)
    for start in range(0, len(flat), PIECE):
        values = flat[start : start + PIECE]
        if REMAINDER in state:
            values = joined(values, state[REMAINDER].view(-1)[start : start + PIECE].to(weight.device))
        yield start, values


def split(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A float32 tensor as the nearest bfloat16 (of two, the one further from 0) and what it differs by, as int16."""
    bits = weight.contiguous().view(torch.int32)
    upper = (bits + 2**15) >> 16
    return upper.to(torch.int16).view(torch.bfloat16), (bits - (upper << 16)).to(torch.int16)


def joined(upper: Tensor, remainder: Tensor) -> Tensor:
    """The float32 tensor that `split` took apart."""
    return ((upper.contiguous().view(torch.int16).to(torch.int32) << 16) + remainder).view(torch.float32)


def _adamw(
    weight: Tensor, gradient: Tensor, first: Tensor, second: Tensor, steps: Tensor, group: dict[str, Any]
) -> None:
    """A step of flat tensors, in place."""
    adamw(
        *([weight], [gradient], [first], [second], [], [steps]),
        foreach=False,
        amsgrad=False,
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        lr=group["lr"],
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        maximize=False,
    )
