"""What is freed is used again: the system takes longer to give a page of memory than a pass to fill it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Options of glibc's mallopt."""
NEVER = -1
MANY_MAPS, TRIM_FROM = 65_536, 64 << 20
"""As glibc has them, once large blocks were freed."""


def keep_freed_memory() -> None:
    """From now on what this process frees stays its own, in blocks of any size.

    Left alone glibc gives blocks of 32 MB and more back at once, the logits of a chunk among them, and gets them again,
    cleared page by page, for the next chunk. Nothing happens where the C library is another one.
    """
    _set(maps=0, trim=NEVER)


def give_memory_back() -> None:
    """The system gets all that is free, as when work ends and the process stays."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _set(*, maps: int, trim: int) -> None:
    mallopt: Any = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_MAX, maps)
        mallopt(TRIM_THRESHOLD, trim)


@contextmanager
def returned_memory() -> Iterator[None]:
    """Within it freed memory goes back at once, as it does by default."""
    _set(maps=MANY_MAPS, trim=TRIM_FROM)
    try:
        yield
    finally:
        keep_freed_memory()
