"""What is freed is used again: the system takes longer to give a page of memory than a pass to fill it."""

from __future__ import annotations

import ctypes
from typing import Any

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Options of glibc's mallopt."""
NEVER = -1


def keep_freed_memory() -> None:
    """From now on what this process frees stays its own, in blocks of any size.

    Left alone glibc gives blocks of 32 MB and more back at once, gradients and the logits of a chunk among them, and
    gets them again, cleared page by page, for the next. Nothing happens where the C library is another one.
    """
    mallopt: Any = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, NEVER)
