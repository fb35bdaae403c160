"""Reads a GGUF file of the llama family: metadata and fp32 tensors, in about a second.

Covers what the embedded model uses (types F32, Q4_1, Q8_0). transformers reads GGUF too, but parses the file's
strings three times over in Python, half a minute for this model, and needs two more packages.
Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, blocks: ggml-quants.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mopd.errors import InputError

MAGIC = 0x46554747
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
BLOCK = 32


@dataclass(frozen=True)
class GgufFile:
    """Metadata by key, and tensors by GGUF name as fp32 arrays, rows first."""

    metadata: dict[str, Any]
    tensors: dict[str, np.ndarray]


def read_gguf(path: str | Path) -> GgufFile:
    """The whole file. Raises InputError when it isn't GGUF, is cut off, or holds a tensor type not covered here."""
    try:
        with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _parse(data)
    except (struct.error, ValueError) as error:
        raise InputError(f"{path}: not a readable GGUF file ({error}); install its package again") from error


def _parse(data: mmap.mmap) -> GgufFile:
    reader = _Reader(data)
    if reader.scalar("I") != MAGIC:
        raise ValueError("wrong first bytes")
    reader.scalar("I")
    num_tensors, num_keys = reader.scalar("Q"), reader.scalar("Q")
    metadata = {reader.string(): reader.value(reader.scalar("I")) for _ in range(num_keys)}
    places = [reader.tensor_place() for _ in range(num_tensors)]
    alignment = metadata.get("general.alignment", 32)
    start = -(-reader.position // alignment) * alignment
    return GgufFile(metadata, {name: _tensor(data, start + at, shape, kind) for name, shape, kind, at in places})


class _Reader:
    """A cursor over the header."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.position = 0

    def scalar(self, code: str) -> Any:
        (value,) = struct.unpack_from(f"<{code}", self.data, self.position)
        self.position += struct.calcsize(f"<{code}")
        return value

    def string(self) -> str:
        size = self.scalar("Q")
        self.position += size
        return self.data[self.position - size : self.position].decode()

    def value(self, kind: int) -> Any:
        if kind == STRING:
            return self.string()
        if kind not in (*SCALARS, ARRAY):
            raise ValueError(f"metadata type {kind} is unknown")
        if kind != ARRAY:
            return self.scalar(SCALARS[kind])
        inner, count = self.scalar("I"), self.scalar("Q")
        return [self.value(inner) for _ in range(count)]

    def tensor_place(self) -> tuple[str, tuple[int, ...], int, int]:
        """Name, shape (rows first), type and offset of one tensor."""
        name = self.string()
        shape = tuple(self.scalar("Q") for _ in range(self.scalar("I")))[::-1]
        return name, shape, self.scalar("I"), self.scalar("Q")


def _tensor(data: mmap.mmap, start: int, shape: tuple[int, ...], kind: int) -> np.ndarray:
    if kind not in TENSOR_TYPES:
        raise ValueError(f"tensor type {kind} is not one of {sorted(TENSOR_TYPES)}")
    item, unpack = TENSOR_TYPES[kind]
    per_item = 1 if kind == 0 else BLOCK
    count = int(np.prod(shape)) // per_item
    # A copy, not a view: the file is closed before the array is used.
    return unpack(np.frombuffer(data, dtype=item, count=count, offset=start).copy()).reshape(shape)


def _unpack_q4_1(blocks: np.ndarray) -> np.ndarray:
    """Two 4-bit numbers a byte (low half first), times scale, plus minimum."""
    numbers = np.concatenate([blocks["numbers"] & 0x0F, blocks["numbers"] >> 4], axis=1).astype(np.float32)
    return numbers * blocks["scale"].astype(np.float32)[:, None] + blocks["minimum"].astype(np.float32)[:, None]


def _unpack_q8_0(blocks: np.ndarray) -> np.ndarray:
    """32 signed bytes, times scale."""
    return blocks["numbers"].astype(np.float32) * blocks["scale"].astype(np.float32)[:, None]


TENSOR_TYPES: dict[int, tuple[np.dtype, Callable[[np.ndarray], np.ndarray]]] = {
    0: (np.dtype("<f4"), lambda values: values),
    3: (np.dtype([("scale", "<f2"), ("minimum", "<f2"), ("numbers", "u1", 16)]), _unpack_q4_1),
    8: (np.dtype([("scale", "<f2"), ("numbers", "i1", 32)]), _unpack_q8_0),
}
