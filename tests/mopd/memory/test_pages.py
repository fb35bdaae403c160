"""Weights that were loaded from a file are copied at once, not page by page as they are written to."""

from __future__ import annotations

import mmap
import platform
import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mopd.memory.pages import own_pages

NUM = 2**21
"""Numbers in 8 MB."""
KERNEL = tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])


@pytest.fixture
def mapped(tmp_path: Path) -> Tensor:
    """A tensor in a file's pages, and beside it another one of the same file."""
    save_file({"a": torch.arange(NUM, dtype=torch.float32), "b": torch.ones(3)}, tmp_path / "weights.safetensors")
    return load_file(tmp_path / "weights.safetensors")["a"]


def faults_of_writing(tensor: Tensor) -> int:
    """Pages that the system had to give for it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensor.add_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(KERNEL < (5, 14), reason="Linux copies pages at once since 5.14")
def test_writing_finds_all_pages_there(mapped: Tensor) -> None:
    num_pages = NUM * 4 // mmap.PAGESIZE
    own_pages([mapped])
    assert torch.equal(mapped, torch.arange(NUM, dtype=torch.float32))
    assert faults_of_writing(mapped) < num_pages / 10


def test_the_file_stays_as_it_is(mapped: Tensor, tmp_path: Path) -> None:
    own_pages([mapped])
    mapped.zero_()
    assert load_file(tmp_path / "weights.safetensors")["a"][5] == 5


def test_nothing_to_do_for_what_has_no_pages_or_is_not_in_one_piece() -> None:
    own_pages([torch.empty(0), torch.ones(4, 6)[:, 1:3], torch.ones(3, device="meta"), torch.ones(())])
