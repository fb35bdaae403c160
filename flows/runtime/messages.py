"""What passes between a job and who asked for it: reports while it works, then its result or its error.

The same on both ways to a worker: a pipe to a process of this host, a stream from another one.
"""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from flows.runtime.out_of_memory import OutOfMemory, is_refusal
from mopd.errors import EngineDead

Message = tuple[Literal["report", "result", "error"], Any]
Send = Callable[[Message], None]
Report = Callable[[dict[str, Any]], None]
"""Takes a dict such as `{"done": 3, "of": 8}`; an empty one says that the job goes on."""

DEAD_ENGINE_CODE = 70
"""Exit code of a worker that left because its engine is dead."""
LOST_DEVICE = "CUDA error"
"""In torch's errors after which every call to the device fails, whoever makes it."""


def silent(_: dict[str, Any]) -> None:
    """Ignore reports."""


def answer(send: Send, function: Callable[..., Any], *args: Any, share: bool = True) -> tuple[bool, Any]:
    """Call and reply: whether that went well, and the result, which stays in this process where `share` is False.

    Leaves the process where the error says that what was loaded is of no use any more: whoever waits sees it die.
    """
    try:
        result = function(*args)
    except Exception as error:
        _leave_dead_engine(error)
        send(("error", portable(error)))
        return False, None
    send(("result", result if share else None))
    return True, result


class WorkerName(NamedTuple):
    """Whose job an error is of."""

    name: str
    log: str | None


_WORKER = "mopd_worker"
"""An attribute of errors."""


@contextmanager
def naming_worker(name: str, log: Path | None) -> Iterator[None]:
    """Errors say which worker's job they are of."""
    try:
        yield
    except Exception as error:
        vars(error).setdefault(_WORKER, WorkerName(name, str(log) if log else None))
        raise


def worker_of(error: BaseException | None) -> WorkerName | None:
    """Which worker's job an error is of, or the one that it came from."""
    while error is not None:
        if _WORKER in vars(error):
            return WorkerName(*vars(error)[_WORKER])
        error = error.__cause__
    return None


def outcome(messages: Iterable[Message], report: Report) -> Any:
    """The result that ends the messages; the job's error is raised, reports go to `report`."""
    for kind, value in messages:
        if kind == "error":
            raise value
        if kind == "result":
            return value
        report(value)
    raise AssertionError("messages end with a result or an error")


def portable(error: Exception) -> Exception:
    """The error with this process's traceback as a note; a RuntimeError where it can't be pickled, or wants torch."""
    trace = "".join(traceback.format_exception(error))
    try:
        copy = _refusal(error) if is_refusal(error) else pickle.loads(pickle.dumps(error))
    except Exception:
        copy = RuntimeError(f"{type(error).__name__}: {error}")
    copy.add_note(f"In the worker process:\n{trace}")
    assert isinstance(copy, Exception)
    return copy


def _refusal(error: Exception) -> OutOfMemory:
    what = next(iter(str(error).splitlines()), "") or type(error).__name__  # Python's own says nothing
    return OutOfMemory(f"out of memory ({what})")


def _leave_dead_engine(error: Exception) -> None:
    lost = isinstance(error, RuntimeError) and LOST_DEVICE in str(error) and not is_refusal(error)
    if not lost and not isinstance(error, EngineDead):
        return
    traceback.print_exception(error)  # into the worker's log
    sys.stderr.flush()
    os._exit(DEAD_ENGINE_CODE)
