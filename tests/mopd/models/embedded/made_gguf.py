"""GGUF files with what a test puts in."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

Value = str | int | float | Sequence[str] | Sequence[int]


def gguf_bytes(metadata: Mapping[str, Value], tensors: Mapping[str, tuple[int, tuple[int, ...], bytes]]) -> bytes:
    """A file. Tensors: type, shape (rows first), blocks."""
    header = struct.pack("<IIQQ", 0x46554747, 3, len(tensors), len(metadata))
    header += b"".join(_text(key) + _typed(value) for key, value in metadata.items())
    content = b""
    for name, (kind, shape, blocks) in tensors.items():
        header += _text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape[::-1])
        header += struct.pack("<IQ", kind, len(content))
        content += blocks + bytes(-len(blocks) % 32)
    return header + bytes(-len(header) % 32) + content


def _typed(value: Value) -> bytes:
    """A value behind the number of its type: text 8, uint32 4, float32 6, or a list of texts or integers 9."""
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    items = [_typed(item) for item in value]
    return struct.pack("<I", 9) + items[0][:4] + struct.pack("<Q", len(items)) + b"".join(item[4:] for item in items)


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()
