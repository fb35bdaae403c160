"""Work in a process of its own, so that what was loaded, cached or kept by one way is no help to the other."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def apart(work: Callable[..., Any], *args: Any) -> Any:
    """What `work(*args)` returns, in a fresh interpreter that ends with it."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *args).result()
