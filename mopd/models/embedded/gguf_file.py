"""Reads a GGUF file: its metadata at once, in about a second, and each tensor as fp32 when it is asked for.

transformers reads GGUF too, but parses the file's strings three times over in Python, half a minute, and needs two more
packages. Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; types of tensors are in `gguf_blocks.py`.
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mopd.errors import InputError
from mopd.models.embedded.gguf_blocks import TENSOR_TYPES

MAGIC = 0x46554747
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9


class TensorPlace(NamedTuple):
    """Where a tensor lies in its file."""

    shape: tuple[int, ...]
    """Rows first."""
    kind: int
    """A key of `TENSOR_TYPES`."""
    offset: int
    """In bytes, from the start of the file."""

    @property
    def num_blocks(self) -> int:
        return math.prod(self.shape) // TENSOR_TYPES[self.kind].num_values

    @property
    def end(self) -> int:
        return self.offset + self.num_blocks * TENSOR_TYPES[self.kind].layout.itemsize


@dataclass(frozen=True)
class GgufFile:
    """Metadata by key, and where each tensor lies, by GGUF name."""

    path: Path
    metadata: dict[str, Any]
    places: dict[str, TensorPlace]

    def tensor(self, name: str) -> np.ndarray:
        """A tensor in fp32, rows first; a copy, of which nothing is kept."""
        place = self.places[name]
        layout, _, unpack = TENSOR_TYPES[place.kind]
        blocks = np.fromfile(self.path, dtype=layout, count=place.num_blocks, offset=place.offset)
        return unpack(blocks).reshape(place.shape)


def read_gguf(path: str | Path) -> GgufFile:
    """The header. Raises InputError when it isn't GGUF, is cut off, or holds a tensor type not covered here."""
    path = Path(path)
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            metadata, places = _parse(data)
            if any(place.end > len(data) for place in places.values()):
                raise ValueError("it is smaller than its tensors")
    except (struct.error, ValueError) as error:
        raise InputError(f"{path}: not a readable GGUF file ({error}); install its package again") from error
    return GgufFile(path, metadata, places)


def _parse(data: mmap.mmap) -> tuple[dict[str, Any], dict[str, TensorPlace]]:
    reader = _Reader(data)
    if reader.scalar("I") != MAGIC:
        raise ValueError("wrong first bytes")
    reader.scalar("I")
    num_tensors, num_keys = reader.scalar("Q"), reader.scalar("Q")
    metadata = {reader.string(): reader.value(reader.scalar("I")) for _ in range(num_keys)}
    places = dict(reader.tensor_place() for _ in range(num_tensors))
    alignment = metadata.get("general.alignment", 32)
    start = -(-reader.position // alignment) * alignment
    return metadata, {name: place._replace(offset=start + place.offset) for name, place in places.items()}


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

    def tensor_place(self) -> tuple[str, TensorPlace]:
        """Name and place of a tensor, its offset counted from the end of the header."""
        name = self.string()
        shape = tuple(self.scalar("Q") for _ in range(self.scalar("I")))[::-1]
        kind, offset = self.scalar("I"), self.scalar("Q")
        if kind not in TENSOR_TYPES:
            raise ValueError(f"tensor type {kind} is not one of {sorted(TENSOR_TYPES)}")
        return name, TensorPlace(shape, kind, offset)
