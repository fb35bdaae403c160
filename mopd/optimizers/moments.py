"""How AdamW's moments are kept between steps: in float32, or in 8 bits."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol

import torch
from torch import Tensor

from mopd.errors import InputError

State = dict[str, Tensor]
"""Of one weight, by name."""
MOMENTS = ("exp_avg", "exp_avg_sq")
SIGNED = {"exp_avg": True, "exp_avg_sq": False}
BLOCK = 256
"""Numbers that share a scale in 8 bits."""
SMALLEST = 4096
"""Numbers of a weight whose moments have 8 bits; those of smaller ones (norms, biases) are float32."""
SCALE = "_scale"


class Moments(Protocol):
    """Makes, reads and writes the moments of a weight in its state, pieces being flat and a multiple of BLOCK long."""

    def make(self, state: State, name: str, weight: Tensor, home: torch.device) -> None:
        """A moment that is 0, on the device that it is kept on."""

    def read(self, state: State, name: str, piece: slice, device: torch.device) -> Tensor:
        """A piece of it, to be computed with on a device."""

    def write(self, state: State, name: str, piece: slice, values: Tensor) -> None:
        """Put a piece back that was read."""


class Float32Moments:
    """As torch keeps them."""

    def make(self, state: State, name: str, weight: Tensor, home: torch.device) -> None:
        """Zeros; page-locked where they are read by a GPU."""
        wide = torch.promote_types(weight.dtype, torch.float32)
        locked = weight.is_cuda and home.type == "cpu"
        state[name] = torch.zeros(weight.shape, dtype=wide, device=home, pin_memory=locked)

    def read(self, state: State, name: str, piece: slice, device: torch.device) -> Tensor:
        """The piece itself where it lies on the device."""
        return state[name].view(-1)[piece].to(device)

    def write(self, state: State, name: str, piece: slice, values: Tensor) -> None:
        """Nothing to do where it was the piece itself."""
        home = state[name].view(-1)[piece]
        if home.data_ptr() != values.data_ptr():
            home.copy_(values)


class EightBitMoments:
    """In blocks with a scale each, on bitsandbytes' dynamic map (arXiv 2110.02861)."""

    def __init__(self) -> None:
        """Raises InputError where bitsandbytes is not installed."""
        try:
            self._functional: Any = import_module("bitsandbytes.functional")
        except ImportError as error:
            raise InputError(
                f"train.optimizer: adamw_8bit needs bitsandbytes ({error}); "
                "pip install mopd[memory], or set train.optimizer to adamw"
            ) from error
        self._codes = {name: self._functional.create_dynamic_map(signed=signed) for name, signed in SIGNED.items()}
        self._float32 = Float32Moments()

    def make(self, state: State, name: str, weight: Tensor, home: torch.device) -> None:
        """The code of zero, and scales of zero."""
        if weight.numel() < SMALLEST:
            self._float32.make(state, name, weight, home)
            return
        zero = int(self._codes[name].abs().argmin())
        state[name] = torch.full(weight.shape, zero, dtype=torch.uint8, device=home)
        state[name + SCALE] = torch.zeros(-(-weight.numel() // BLOCK), device=home)

    def read(self, state: State, name: str, piece: slice, device: torch.device) -> Tensor:
        """In float32."""
        if name + SCALE not in state:
            return self._float32.read(state, name, piece, device)
        numbers = state[name].view(-1)[piece].to(device)
        scales = state[name + SCALE][_blocks(piece)].to(device)
        code = self._codes[name].to(device)
        values: Tensor = self._functional.dequantize_blockwise(numbers, absmax=scales, code=code, blocksize=BLOCK)
        return values

    def write(self, state: State, name: str, piece: slice, values: Tensor) -> None:
        """Each block by its own largest number."""
        if name + SCALE not in state:
            self._float32.write(state, name, piece, values)
            return
        code = self._codes[name].to(values.device)
        numbers, quantized = self._functional.quantize_blockwise(values, code=code, blocksize=BLOCK)
        state[name].view(-1)[piece].copy_(numbers)
        state[name + SCALE][_blocks(piece)].copy_(quantized.absmax)


def _blocks(piece: slice) -> slice:
    return slice(piece.start // BLOCK, -(-piece.stop // BLOCK))
