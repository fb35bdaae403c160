"""SIGTERM and Ctrl-C end `mopd run` like an exception does, wherever the main thread is, and in time in any case."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

END_SECONDS = 14.0
"""How long an end may take that tells Prefect's server of it and closes what is open. After that the process goes: what
it holds ends with it, and what is not committed is made again."""
WORDS = {
    signal.SIGTERM: "terminated; start the same command again to continue",
    signal.SIGINT: "interrupted; start the same command again to continue",
}
AT_HARD_END: list[Callable[[], object]] = []
"""What is done before the process goes where it would not end by itself: a server of its own may not hear of that."""
_interrupted = False


class Terminated(SystemExit):
    """SIGTERM came. Raised wherever the main thread is, so that workers end and Prefect's states are set."""


@contextmanager
def orderly_end() -> Iterator[None]:
    """Turn SIGTERM into Terminated, and remember Ctrl-C.

    While a flow runs, Prefect catches SIGTERM first and then passes it on, after it has told its server. That may never
    come to an end: a thread of our own hears of the signal too, and ends the process where nothing else does.
    """
    global _interrupted
    _interrupted = False
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _interrupt)
    with _heard_by_a_thread():
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _heard_by_a_thread() -> Iterator[None]:
    """Python writes the number of each signal to a pipe, whoever handles it."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    before = signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    over = threading.Event()
    threading.Thread(target=_end_in_time, args=(readable, over), daemon=True, name="end in time").start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        os.close(writable)


def _end_in_time(readable: int, over: threading.Event) -> None:
    """After a signal the process has END_SECONDS."""
    with os.fdopen(readable, "rb", buffering=0) as numbers:
        while number := numbers.read(1):
            if number[0] not in WORDS or over.wait(END_SECONDS):
                continue
            print(f"mopd: {WORDS[signal.Signals(number[0])]}", file=sys.stderr, flush=True)
            for action in AT_HARD_END:
                action()
            os._exit(128 + number[0])


@contextmanager
def noted_signals() -> Iterator[list[int]]:
    """SIGTERM and Ctrl-C are noted, not raised; the first of them goes to its own handler when this is over.

    For work that must end others before it ends itself: an exception could come at any place of it, and twice. Outside
    of the main thread nothing is raised, and nothing noted.
    """
    numbers: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield numbers
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for number in before:
            signal.signal(number, lambda number, frame: numbers.append(number))
        yield numbers
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if numbers:
            signal.raise_signal(numbers[0])


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
