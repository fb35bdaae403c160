"""A sign of life from wherever work goes on: who runs a job may listen, and end a process that has fallen silent.

Whatever may take long beats once a pass (a forward pass, a step of an engine, a verdict). Nothing beats by itself: a
thread that did would say of a process that hangs that it works.
"""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 1.0
"""At most one beat in this time is passed on."""

_listener: Callable[[], object] | None = None
_last = 0.0


def beat() -> None:
    """Work goes on."""
    global _last
    now = time.monotonic()
    if _listener is not None and now - _last >= SECONDS:
        _last = now
        _listener()


def listen(listener: Callable[[], object] | None) -> None:
    """From here on `listener` is called when work goes on; None: nobody is."""
    global _listener
    _listener = listener
