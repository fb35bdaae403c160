"""The other end of `flows.runtime.worker.Worker`: loads the resource, runs jobs, ends when its parent does."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from flows.runtime.out_of_memory import OutOfMemory, is_refusal


def serve(connection: Connection, log: Path | None) -> None:
    """Load what the first message says, then do a job a message until the connection is closed."""
    os.setsid()
    _redirect(log)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    resource: Any = None
    loaded = False
    while True:
        try:
            function, args = connection.recv()
        except EOFError:
            break
        if loaded:
            _answer(connection, function, resource, lambda report: connection.send(("report", report)), *args)
        else:
            resource = _answer(connection, function, *args, share=False)
            loaded = True
    if hasattr(resource, "close"):
        resource.close()
    os._exit(0)  # tearing down an interpreter that has torch takes a second, and nothing is left to tear down


def _answer(connection: Connection, function: Callable[..., Any], *args: Any, share: bool = True) -> Any:
    """Call and reply; what `share` is False for stays in this process. A failed load ends the process."""
    try:
        result = function(*args)
    except Exception as error:
        connection.send(("error", _portable(error)))
        if not share:
            sys.exit(1)
        return None
    connection.send(("result", result if share else None))
    return result


def _portable(error: Exception) -> Exception:
    """The error with this process's traceback as a note; a RuntimeError where it can't be pickled, or wants torch."""
    trace = "".join(traceback.format_exception(error))
    try:
        refused = OutOfMemory(f"out of memory ({str(error).splitlines()[0]})") if is_refusal(error) else None
        copy = refused or pickle.loads(pickle.dumps(error))
    except Exception:
        copy = RuntimeError(f"{type(error).__name__}: {error}")
    copy.add_note(f"In the worker process:\n{trace}")
    assert isinstance(copy, Exception)
    return copy


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
