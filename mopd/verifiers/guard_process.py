"""The helper process of `mopd.verifiers.guard`: imports one function, then forks for the calls of it.

It is run as a file, and its end of the socket to the process that wants the calls is its standard input.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

FORBIDDEN = ("os.", "shutil.", "subprocess.", "socket.", "ctypes.", "pty.", "webbrowser.", "urllib.")
HARMLESS = ("os.listdir", "os.scandir", "os.walk")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
LEFTOVER_SHARE = 1 / 8
"""Of the memory that a call may use, what a fork that takes another may have grown by: all calls have about as much of
it, and forks that wait are small."""


class Limits(NamedTuple):
    """What a fork may use: how many calls it takes, and CPU and wall-clock seconds a call, bytes of memory."""

    calls: int
    cpu_seconds: float
    wall_seconds: float
    memory_bytes: int


def main(control: socket.socket) -> None:
    """Serve calls until the other end of `control` is closed."""
    function_name, *limits = json.loads(read_line(control))
    module_name, _, name = function_name.partition(":")
    try:
        function = getattr(import_module(module_name), name)
    except Exception as error:  # told to the caller, whose error it is
        control.sendall(_one_line(error).encode())
        return
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # forks that ended don't linger
    helper_ends, helper_lives = os.pipe()
    control.sendall(b"+")
    while True:
        message, fds, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        with socket.socket(fileno=fds[0]) as line:
            if os.fork() == 0:
                try:
                    control.close()
                    os.close(0)
                    os.close(helper_lives)
                    _serve(line, helper_ends, function, Limits(*limits))
                finally:
                    os._exit(0)


def _serve(line: socket.socket, helper_ends: int, function: Callable[..., Any], limits: Limits) -> None:
    """Take calls while each gives a value and leaves little behind. Between them no time limit runs."""
    _confine(limits)
    memory = _peak_bytes()
    for _ in range(limits.calls):
        if helper_ends in select.select([line.fileno(), helper_ends], [], [])[0]:
            return
        _limit(limits.cpu_seconds, limits.wall_seconds)
        request = read_line(line)
        if not request:
            return
        line.sendall(b"+")
        kind, value = _called(function, request)
        result = json.dumps([kind, value]).encode() + b"\n"
        _limit(0, 0)
        line.sendall(result)
        if kind != "value" or _peak_bytes() - memory > limits.memory_bytes * LEFTOVER_SHARE:
            return


def _called(function: Callable[..., Any], request: bytes) -> tuple[str, Any]:
    try:
        return "value", function(*json.loads(request))
    except (MemoryError, RecursionError) as error:
        return "undecided", _one_line(error)
    except Exception as error:  # told to the caller, whose error it is
        return "error", _one_line(error)


def _confine(limits: Limits) -> None:
    """What holds for a fork's whole life: memory, CPU time in all, and that it leaves the machine alone."""
    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    at_last = int(limits.calls * limits.cpu_seconds) + 2  # a net below each call's timer: it can't be set back
    resource.setrlimit(resource.RLIMIT_CPU, (at_last, at_last))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.addaudithook(_refuse)


def _limit(cpu_seconds: float, wall_seconds: float) -> None:
    """What the kernel ends us after, even where Python doesn't come to run; 0: no longer."""
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    signal.setitimer(signal.ITIMER_REAL, wall_seconds)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _refuse(event: str, args: tuple[Any, ...]) -> None:
    """A net below the verifiers' own care: what a library does with a model's text must not reach the machine."""
    writes = event == "open" and args[2] & WRITING
    if writes or (event.startswith(FORBIDDEN) and event not in HARMLESS):
        raise PermissionError(f"{event} is not for a verifier's helper")


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:2000]


def read_line(line: socket.socket) -> bytes:
    """Bytes to the first newline, which is the last byte sent; what there is where the line ends before."""
    parts = []
    while part := line.recv(1 << 16):
        parts.append(part)
        if part.endswith(b"\n"):
            break
    return b"".join(parts)


if __name__ == "__main__":
    main(socket.socket(fileno=os.dup(0)))
