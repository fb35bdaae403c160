"""Calls a function that may hang, crash or eat memory on what a model wrote, where it can't harm this process.

One helper process a function imports what the function needs, once; every call runs in a fork of it, under limits that
the kernel keeps. Calls may come from any thread, know nothing of each other, and leave nothing behind: the helper ends
with this process, however that ends.
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
from contextlib import suppress
from pathlib import Path
from typing import Any

START_SECONDS = 120.0
GRACE_SECONDS = 5.0


class UndecidedError(Exception):
    """The call used up its CPU time or memory, or crashed: what it was asked about can't be told."""


class Guarded:
    """`package.module:function`, to be called with JSON values; it returns one, and shares nothing with this process.

    A call gets `cpu_seconds` of CPU time and `memory_bytes` of address space. `wall_seconds` is wide, so that a busy
    machine doesn't decide verdicts. The first call waits until the helper has imported its modules as well.
    """

    def __init__(
        self, function: str, *, cpu_seconds: float = 0.8, wall_seconds: float = 10.0, memory_bytes: int = 1 << 30
    ) -> None:
        self.function = function
        self.cpu_seconds, self.wall_seconds, self.memory_bytes = cpu_seconds, wall_seconds, memory_bytes
        self._forget()
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self.close)

    def __call__(self, *args: Any) -> Any:
        """What the function returns. Raises UndecidedError where it is out of CPU time or memory, or crashes;
        TimeoutError where the machine was too busy to tell; RuntimeError where it raises or the helper can't start."""
        request = json.dumps(args).encode() + b"\n"
        start = time.monotonic()
        reply = self._exchange(request) or self._exchange(request)  # once more where a helper died before it began
        if not reply:
            raise RuntimeError(f"the helper of {self.function} died twice before it took up the call")
        if reply == b"+":
            if time.monotonic() - start >= self.wall_seconds:
                raise TimeoutError(f"{self.function} gave no answer in {self.wall_seconds:g} s")
            raise UndecidedError(f"{self.function} found no answer in {self.cpu_seconds:g} s of CPU time")
        kind, value = json.loads(reply[1:])
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
        """A forked copy of this process has no helper: that one is its parent's."""
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def _exchange(self, request: bytes) -> bytes:
        """Everything that a fresh fork says: "+" when it begins, then its result unless it is killed."""
        our_end, helper_end = socket.socketpair()
        with our_end:
            with helper_end, self._lock:
                self._send(helper_end)
            our_end.settimeout(self.wall_seconds + GRACE_SECONDS)
            try:
                our_end.sendall(request)
                return b"".join(iter(lambda: our_end.recv(1 << 16), b""))
            except (BrokenPipeError, ConnectionResetError):
                return b""

    def _send(self, line: socket.socket) -> None:
        """Hand the helper the line to a new call; start it where it isn't there."""
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
        settings = [self.function, self.cpu_seconds, self.wall_seconds, self.memory_bytes]
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


def _environment() -> dict[str, str]:
    """Modules are found where this process finds them; linear algebra starts no threads, which don't survive a fork."""
    return {
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
