"""Types of GGUF tensors: how a block of numbers is laid out, and how it becomes fp32.

After ggml's `ggml-common.h` (structs) and `ggml-quants.c` (dequantize_row_*). B blocks to N numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class TensorType(NamedTuple):
    layout: np.dtype
    """Of one block."""
    num_values: int
    """In a block."""
    unpack: Callable[[np.ndarray], np.ndarray]
    """Blocks, (B,), to fp32, (B, N)."""


def _column(scales: np.ndarray) -> np.ndarray:
    """A number a block, fp16 or integer, as fp32 beside the block's numbers."""
    return scales.astype(np.float32)[..., None]


def _halves(bytes_: np.ndarray) -> np.ndarray:
    """Two 4-bit numbers a byte: all low halves, then all high ones."""
    return np.concatenate([bytes_ & 0x0F, bytes_ >> 4], axis=-1)


def _unpack_q4_1(blocks: np.ndarray) -> np.ndarray:
    """4 bits, times scale, plus minimum."""
    numbers = _halves(blocks["numbers"]).astype(np.float32)
    return numbers * _column(blocks["scale"]) + _column(blocks["minimum"])


def _unpack_q5_0(blocks: np.ndarray) -> np.ndarray:
    """5 bits, of which the fifth lies apart, less 16, times scale."""
    fifth = np.unpackbits(blocks["fifth_bits"], axis=-1, bitorder="little")
    numbers = (_halves(blocks["numbers"]) | fifth << 4).astype(np.float32) - 16
    return numbers * _column(blocks["scale"])


def _unpack_q8_0(blocks: np.ndarray) -> np.ndarray:
    """32 signed bytes, times scale."""
    return blocks["numbers"].astype(np.float32) * _column(blocks["scale"])


def _unpack_q4_k(blocks: np.ndarray) -> np.ndarray:
    """8 groups of 32 numbers of 4 bits. Each group has a 6-bit scale and minimum, multiples of the block's two.

    The low halves of 32 bytes are a group, their high halves the next. Of the 12 bytes of scales the first four hold
    the scales of groups 0 to 3, the next four their minima, in six bits each; the two bits left over are the upper ones
    of groups 4 to 7, whose lower four are in the last four bytes: the scale's low, the minimum's high.
    """
    packed = blocks["scales"].reshape(-1, 3, 4)
    first, second, low = packed[:, 0], packed[:, 1], packed[:, 2]
    scales = np.concatenate([first & 0x3F, (low & 0x0F) | (first >> 6) << 4], axis=-1)
    minima = np.concatenate([second & 0x3F, (low >> 4) | (second >> 6) << 4], axis=-1)
    numbers = _halves(blocks["numbers"].reshape(-1, 4, 32)).reshape(-1, 8, 32)
    scaled = (_column(blocks["scale"]) * scales)[..., None] * numbers
    return (scaled - (_column(blocks["minimum"]) * minima)[..., None]).reshape(-1, 256)


def _unpack_q6_k(blocks: np.ndarray) -> np.ndarray:
    """16 groups of 16 numbers of 6 bits, less 32; each group has an 8-bit scale, a multiple of the block's.

    A half of the block, 128 numbers, takes 64 bytes of lower bits (low halves first) and 32 bytes of two upper bits for
    each quarter of it.
    """
    lower = _halves(blocks["lower_bits"].reshape(-1, 2, 64)).reshape(-1, 2, 4, 32)
    shifts = np.array([0, 2, 4, 6], dtype=np.uint8)[:, None]
    upper = blocks["upper_bits"].reshape(-1, 2, 1, 32) >> shifts & 0x03
    numbers = (lower | upper << 4).reshape(-1, 16, 16).astype(np.float32) - 32
    return ((_column(blocks["scale"]) * blocks["scales"])[..., None] * numbers).reshape(-1, 256)


TENSOR_TYPES: dict[int, TensorType] = {
    0: TensorType(np.dtype("<f4"), 1, lambda values: values),
    3: TensorType(
        np.dtype([("scale", "<f2"), ("minimum", "<f2"), ("numbers", "u1", 16)]),
        32,
        _unpack_q4_1,
    ),
    6: TensorType(
        np.dtype([("scale", "<f2"), ("fifth_bits", "u1", 4), ("numbers", "u1", 16)]),
        32,
        _unpack_q5_0,
    ),
    8: TensorType(np.dtype([("scale", "<f2"), ("numbers", "i1", 32)]), 32, _unpack_q8_0),
    12: TensorType(
        np.dtype([("scale", "<f2"), ("minimum", "<f2"), ("scales", "u1", 12), ("numbers", "u1", 128)]),
        256,
        _unpack_q4_k,
    ),
    14: TensorType(
        np.dtype([("lower_bits", "u1", 128), ("upper_bits", "u1", 64), ("scales", "i1", 16), ("scale", "<f2")]),
        256,
        _unpack_q6_k,
    ),
}
"""By GGUF's number: F32, Q4_1, Q5_0, Q8_0, Q4_K, Q6_K."""
