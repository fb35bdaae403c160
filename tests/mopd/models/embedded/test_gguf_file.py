"""GGUF: blocks of each type against numbers worked out by hand, and files that can't be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mopd.errors import InputError
from mopd.models.embedded.gguf_file import read_gguf
from tests.mopd.models.embedded.made_gguf import gguf_bytes


def file_of(kind: int, blocks: bytes, shape: tuple[int, ...]) -> bytes:
    return gguf_bytes({"names": ["a", "b"]}, {"first": (0, (1,), b"\0" * 4), "w": (kind, shape, blocks)})


def half(value: float) -> bytes:
    return np.array(value, dtype="<f2").tobytes()


LOW_AND_HIGH = bytes(low | high << 4 for low, high in zip(range(16), range(15, -1, -1)))
"""4-bit numbers: 0 to 15, then 15 to 0."""
COUNTED = [*range(16), *range(15, -1, -1)]

Q4_K_SCALES = bytes([1, 2, 3, 4 | 0b01 << 6, 5, 6, 7, 8 | 0b10 << 6, 0x21, 0x43, 0x65, 0x87])
"""Scales of groups 0 to 3, their minima, then of groups 4 to 7 the low bits of both; group 7 has upper bits too."""


@pytest.mark.parametrize(
    ("kind", "blocks", "expected"),
    [
        pytest.param(0, np.arange(4, dtype="<f4").tobytes(), np.arange(4), id="F32"),
        pytest.param(3, half(0.5) + half(-1) + LOW_AND_HIGH, np.array(COUNTED) * 0.5 - 1, id="Q4_1"),
        pytest.param(
            6,
            half(2) + bytes([0b10, 0, 0, 0x80]) + LOW_AND_HIGH,
            (np.array(COUNTED) + 16 * np.isin(np.arange(32), (1, 31)) - 16) * 2,
            id="Q5_0",
        ),
        pytest.param(8, half(0.25) + np.arange(-16, 16, dtype="i1").tobytes(), np.arange(-16, 16) * 0.25, id="Q8_0"),
        pytest.param(
            12,
            half(0.5) + half(2) + Q4_K_SCALES + bytes([0x21]) * 128,
            np.repeat(np.array([1, 2, 3, 4, 1, 3, 5, 7 + 16]) * 0.5, 32) * np.tile(np.repeat([1, 2], 32), 4)
            - np.repeat(np.array([5, 6, 7, 8, 2, 4, 6, 8 + 32]) * 2, 32),
            id="Q4_K",
        ),
        pytest.param(
            14,
            bytes([0x21]) * 128 + bytes([0b11100100]) * 64 + np.arange(-8, 8, dtype="i1").tobytes() + half(0.5),
            np.tile(np.repeat([1 + 0 - 32, 1 + 16 - 32, 2 + 32 - 32, 2 + 48 - 32], 32), 2)
            * np.repeat(np.arange(-8, 8) * 0.5, 16),
            id="Q6_K",
        ),
    ],
)
def test_blocks(tmp_path: Path, kind: int, blocks: bytes, expected: np.ndarray) -> None:
    path = tmp_path / "file.gguf"
    path.write_bytes(file_of(kind, blocks * 2, (2, len(expected))))
    file = read_gguf(path)
    assert file.metadata == {"names": ["a", "b"]}
    tensor = file.tensor("w")
    assert tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor, [expected] * 2)


def test_rows_are_shorter_than_blocks(tmp_path: Path) -> None:
    path = tmp_path / "file.gguf"
    path.write_bytes(file_of(8, half(0.25) + np.arange(-16, 16, dtype="i1").tobytes(), (4, 8)))
    np.testing.assert_array_equal(read_gguf(path).tensor("w"), np.arange(-16, 16).reshape(4, 8) * 0.25)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "file.gguf"
    for content, message in (
        (b"GGUG" + b"\0" * 40, "wrong first bytes"),
        (file_of(2, b"\0" * 64, (32,)), "tensor type 2 is not one of"),
        (file_of(0, b"\0" * 64, (32,)), "smaller than its tensors"),
        (file_of(0, b"", (32,))[:60], "readable"),
        (b"", "empty"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_gguf(path)
