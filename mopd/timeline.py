"""What this process spends its time on, span by span: kept where somebody asks, next to free where nobody does."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

Kind = Literal["stage", "job", "start", "files", "load", "device"]
"""From what lasts long to what it consists of: a stage of a round; a shard of it; processes that start or end; files
that are read, written and committed; models that are loaded; what a device computes."""


class Span(NamedTuple):
    """Something that took its time in one thread."""

    name: str
    kind: Kind
    start: float
    """Seconds since the epoch."""
    seconds: float
    thread: str


_spans: list[Span] | None = None


def record(*before: Span) -> None:
    """From here on spans are kept, for whoever takes them; those `before` are the first."""
    global _spans
    _spans = [*before]


def take_spans() -> list[Span]:
    """Those that have ended since the last time."""
    global _spans
    if _spans is None:
        return []
    taken, _spans = _spans, []
    return taken


@contextmanager
def span(name: str, kind: Kind) -> Iterator[None]:
    """What is done within; where a device computes, until it has done so. For functions a decorator too."""
    if _spans is None:
        yield
        return
    start, began = time.time(), time.perf_counter()
    try:
        yield
    finally:
        if kind == "device":
            _wait_for_device()
        _spans.append(Span(name, kind, start, time.perf_counter() - began, threading.current_thread().name))


def _wait_for_device() -> None:
    """A GPU computes behind the back of whoever gives it work."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()
