"""Calls a function that may hang, crash or eat memory on what a model wrote, where it can't harm this process.

One helper process a function imports what the function needs, once; calls run in forks of it, under limits that the
kernel keeps. Calls may come from any thread and leave nothing behind: helper and forks end with this process, however
that ends.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

from mopd.verifiers.guard_process import read_line

START_SECONDS = 120.0
GRACE_SECONDS = 5.0


class UndecidedError(Exception):
    """The call used up its CPU time or memory, or crashed: what it was asked about can't be told."""


class Guarded:
    """`package.module:function`, to be called with JSON values; it returns one, and shares nothing with this process.

    A call gets `cpu_seconds` of CPU time, in a fork of `memory_bytes` of address space. `wall_seconds` is wide, so that
    a busy machine doesn't decide verdicts. The first call waits until the helper has imported its modules as well.

    A fork takes up to `calls_a_fork` calls of one thread. A call that gives no value where others were before is made
    again in a fresh fork: what ends a call costs it alone. More than 1 is for functions that read what a model wrote
    without evaluating it, so that no call can change what later ones give.
    """

    def __init__(
        self,
        function: str,
        *,
        cpu_seconds: float = 0.8,
        wall_seconds: float = 10.0,
        memory_bytes: int = 1 << 30,
        calls_a_fork: int = 1,
    ) -> None:
        self.function, self.calls_a_fork = function, calls_a_fork
        self.cpu_seconds, self.wall_seconds, self.memory_bytes = cpu_seconds, wall_seconds, memory_bytes
        self._lines: weakref.WeakSet[_Line] = weakref.WeakSet()
        self._forget()
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self.close)

    def __call__(self, *args: Any) -> Any:
        """What the function returns. Raises UndecidedError where it is out of CPU time or memory, or crashes;
        TimeoutError where the machine was too busy to tell; RuntimeError where it raises or the helper can't start."""
        request = json.dumps(args).encode() + b"\n"
        kind, value = self._ask_kept(request) or self._ask_fresh(request)
        if kind == "undecided":
            raise UndecidedError(value)
        if kind == "error":
            raise RuntimeError(value)
        return value

    def close(self) -> None:
        """End the helper and its forks; the next call starts another."""
        with self._lock:
            self._end()

    @property
    def running(self) -> bool:
        """Whether there is a helper."""
        return self._process is not None and self._process.poll() is None

    def _forget(self) -> None:
        """A forked copy of this process has no helper and no forks: those are its parent's, and end with that."""
        for line in list(self._lines):
            line.close()
        self._kept = threading.local()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def _ask_kept(self, request: bytes) -> tuple[str, Any] | None:
        """The value that this thread's fork gives; None where it has no fork, or that gives anything else."""
        line: _Line | None = vars(self._kept).pop("line", None)
        if line is None:
            return None
        with suppress(TimeoutError):
            kind, value = _result(line.ask(request))
            if kind == "value":
                self._kept.line = line
                return kind, value
        return None

    def _ask_fresh(self, request: bytes) -> tuple[str, Any]:
        """What a fork says that has taken no other call. The thread keeps it, where that is a value."""
        line, reply, seconds = self._first_reply(request)
        kind, value = _result(reply)
        if kind == "nothing" and seconds >= self.wall_seconds:
            raise TimeoutError(f"{self.function} gave no answer in {self.wall_seconds:g} s")
        if kind == "nothing":
            return "undecided", f"{self.function} found no answer in {self.cpu_seconds:g} s of CPU time"
        if kind == "value" and self.calls_a_fork > 1:
            self._kept.line = line
        return kind, value

    def _first_reply(self, request: bytes) -> tuple[_Line, bytes, float]:
        """A fresh fork, what it says to its first call, and the seconds that this took."""
        for _ in range(2):  # once more where a helper died before it began
            line = self._fork()
            start = time.monotonic()
            reply = line.ask(request)
            if reply:
                return line, reply, time.monotonic() - start
        raise RuntimeError(f"the helper of {self.function} died twice before it took up the call")

    def _fork(self) -> _Line:
        """The line to a fresh fork."""
        our_end, helper_end = socket.socketpair()
        line = _Line(our_end, self.wall_seconds + GRACE_SECONDS)
        self._lines.add(line)
        with helper_end, self._lock:
            self._send(helper_end)
        return line

    def _send(self, line: socket.socket) -> None:
        """Hand the helper the line to a new fork; start it where it isn't there."""
        if self.running and self._control:
            with suppress(BrokenPipeError):  # it died just now; what follows starts another
                socket.send_fds(self._control, [b"+"], [line.fileno()])
                return
        self._start()
        assert self._control
        socket.send_fds(self._control, [b"+"], [line.fileno()])

    def _start(self) -> None:
        """Start the helper and wait until it can work. Raises RuntimeError with what it says when it can't."""
        self._end()
        self._control, helper_end = socket.socketpair()
        with helper_end:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-W", "ignore", str(Path(__file__).with_name("guard_process.py"))],
                env=os.environ | _environment(),
                stdin=helper_end.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for us; the helper ends when its socket closes
            )
        settings = [self.function, self.calls_a_fork, self.cpu_seconds, self.wall_seconds, self.memory_bytes]
        self._control.settimeout(START_SECONDS)
        self._control.sendall(json.dumps(settings).encode() + b"\n")
        answer = self._control.recv(1 << 12)
        if answer != b"+":
            self._end()
            raise RuntimeError(
                f"the helper of {self.function} can't start: {answer.decode(errors='replace') or 'it died'}"
            )

    def _end(self) -> None:
        if self._control:
            self._control.close()
        if self._process:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._control = self._process = None


class _Line:
    """Our end of the line to a fork, which ends when nobody holds it any more."""

    def __init__(self, end: socket.socket, seconds: float) -> None:
        end.settimeout(seconds)
        self._end = end

    def ask(self, request: bytes) -> bytes:
        """What the fork says to a call: "+" when it takes it up, then its result and a line's end unless it is killed.
        Raises TimeoutError where it says nothing for long."""
        try:
            self._end.sendall(request)
            return read_line(self._end)
        except (BrokenPipeError, ConnectionResetError):
            return b""

    def close(self) -> None:
        self._end.close()

    __del__ = close


def _result(reply: bytes) -> tuple[str, Any]:
    """Kind and value of what a fork said; of the kind "nothing" where it ended before it had a result."""
    if not reply.endswith(b"\n"):
        return "nothing", None
    kind, value = json.loads(reply[1:])
    return kind, value


def _environment() -> dict[str, str]:
    """Modules are found where this process finds them; linear algebra starts no threads, which don't survive a fork."""
    return {
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
