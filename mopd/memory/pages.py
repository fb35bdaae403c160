"""Pages of memory are a process's own before several threads write to them."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

POPULATE_WRITE = 23
"""Advice of Linux's madvise, since 5.14: have all pages of a range as if each had been written to."""


def own_pages(tensors: Iterable[Tensor]) -> None:
    """Copy now, in one go, what tensors on the CPU still share with the file that they were loaded from.

    safetensors maps files. Each page is copied when it is first written to, and threads that do so at once wait for
    each other: the first optimizer step of 128M weights takes 1.7 s on two cores, and with pages of its own 0.7 s with
    the copying. The numbers stay what they are; nothing happens where the system has no such advice.
    """
    madvise: Any = getattr(ctypes.CDLL(None), "madvise", None)
    for tensor in tensors:
        if madvise is not None and tensor.device.type == "cpu" and tensor.is_contiguous():
            first = tensor.data_ptr() // mmap.PAGESIZE * mmap.PAGESIZE
            size = tensor.data_ptr() + tensor.nbytes - first
            madvise(ctypes.c_void_p(first), ctypes.c_size_t(size), POPULATE_WRITE)
