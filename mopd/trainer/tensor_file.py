"""A safetensors file read and written in place, a piece of a tensor at a time.

safetensors reads tensor by tensor, but writes a file as a whole, from memory. What follows training on the disk, such
as an average of its weights, must be changed where it lies.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""The format's names of those that weights have."""
LENGTH_BYTES = 8
"""The file begins with the length of its header, little-endian."""


class Place(NamedTuple):
    """Where a tensor lies in the file."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    offset: int


class TensorFile:
    """An open safetensors file. Use it as a context, or close it."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR)
        length = int.from_bytes(os.pread(self._descriptor, LENGTH_BYTES, 0), "little")
        header = json.loads(os.pread(self._descriptor, length, LENGTH_BYTES))
        first = LENGTH_BYTES + length
        self.places = {
            name: Place(DTYPES[entry["dtype"]], tuple(entry["shape"]), first + entry["data_offsets"][0])
            for name, entry in header.items()
            if name != "__metadata__"
        }

    def read(self, name: str, start: int, stop: int) -> Tensor:
        """Numbers [start, stop) of a tensor, flat, on the CPU."""
        place = self.places[name]
        values = torch.empty(stop - start, dtype=place.dtype)
        length = os.preadv(self._descriptor, [_bytes_of(values)], place.offset + start * place.dtype.itemsize)
        assert length == values.nbytes, "a safetensors file holds what its header says"
        return values

    def write(self, name: str, start: int, values: Tensor) -> None:
        """Put numbers, flat and on the CPU, in the place of those from `start` on."""
        place = self.places[name]
        assert values.dtype == place.dtype, "a tensor keeps its type"
        rest, offset = _bytes_of(values), place.offset + start * place.dtype.itemsize
        while rest:
            written = os.pwrite(self._descriptor, rest, offset)
            rest, offset = rest[written:], offset + written

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._descriptor)


def _bytes_of(values: Tensor) -> memoryview:
    """A tensor's own memory."""
    return memoryview(values.contiguous().view(torch.uint8).numpy())
