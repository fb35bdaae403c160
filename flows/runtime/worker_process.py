"""The other end of `flows.runtime.worker.Worker`: loads the resource, runs jobs, ends when its parent does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from flows.runtime.messages import Message, Send, answer
from flows.runtime.places.share import Share
from flows.runtime.profile import PROFILE, profiled_job
from mopd import pulse, timeline


def serve(connection: Connection, log: Path | None, share: Share) -> None:
    """Load what the first message says, then do a job a message until the connection is closed."""
    os.setsid()
    share.take()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    send = _sender(connection)
    if PROFILE in os.environ:
        timeline.record()
    pulse.listen(lambda: send(("report", {})))
    messages = _messages(connection)
    load = next(messages, None)
    if load is None:  # whoever started us was interrupted before it said what for
        os._exit(0)
    loaded, resource = answer(send, _load, log, *load, share=False)
    if not loaded:
        sys.exit(1)
    for job, args in messages:
        answer(send, profiled_job, job, resource, lambda report: send(("report", report)), *args)
    if hasattr(resource, "close"):
        resource.close()
    os._exit(0)  # tearing down an interpreter that has torch takes a second, and nothing is left to tear down


def _messages(connection: Connection) -> Iterator[tuple[Callable[..., Any], tuple[Any, ...]]]:
    """A function and its arguments each, until the connection is closed."""
    while True:
        try:
            yield connection.recv()
        except EOFError:
            return


def _load(log: Path | None, load: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """What is loaded; a log that can't be written to is told of like everything that goes wrong while it is."""
    _redirect(log)
    return load(*args)


def _sender(connection: Connection) -> Send:
    """Messages of several threads, whole one after another."""
    lock = threading.Lock()

    def send(message: Message) -> None:
        with lock:
            connection.send(message)

    return send


def _redirect(log: Path | None) -> None:
    """What models and engines print goes to the log, not between the lines of progress."""
    target = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(target, stream)
    os.close(target)


def _end_with_parent() -> None:
    """Take the whole process group down when the run's process is gone: nobody else would free the device."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker is a child process"
    parent.join()
    os.killpg(0, signal.SIGKILL)
