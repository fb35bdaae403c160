"""SIGTERM ends `mopd run` like an exception does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Terminated(SystemExit):
    """SIGTERM came. Raised wherever the main thread is, so that workers end and Prefect's states are set."""


@contextmanager
def orderly_end() -> Iterator[None]:
    """Turn SIGTERM into Terminated; while a flow runs, Prefect catches the signal first and then passes it on."""
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(number: int, frame: Any) -> None:
    raise Terminated(128 + number)
