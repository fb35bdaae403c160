"""Imports of processes that many others are forked from, or that many requests go to."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Within it nothing is looked through for garbage, and what it leaves never will be, here and in forked processes.

    Modules stay, and are most of what there is: each full collection would go through all of them.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
