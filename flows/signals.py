"""SIGTERM and Ctrl-C end `mopd run` like an exception does, wherever the main thread is."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_interrupted = False


class Terminated(SystemExit):
    """SIGTERM came. Raised wherever the main thread is, so that workers end and Prefect's states are set."""


@contextmanager
def orderly_end() -> Iterator[None]:
    """Turn SIGTERM into Terminated, and remember Ctrl-C.

    While a flow runs, Prefect catches SIGTERM first and then passes it on.
    """
    global _interrupted
    _interrupted = False
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def raise_if_interrupted() -> None:
    """KeyboardInterrupt if Ctrl-C came but its exception was lost: Python drops those raised in a callback."""
    if _interrupted:
        raise KeyboardInterrupt


def _end(number: int, frame: Any) -> None:
    raise Terminated(128 + number)


def _interrupt(number: int, frame: Any) -> None:
    global _interrupted
    _interrupted = True
    raise KeyboardInterrupt
