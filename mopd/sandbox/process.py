"""The host's end of one sandboxed process: its questions, its answers, its end."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import select
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mopd.sandbox.base import Limits, Status
from mopd.sandbox.guest.wire import WireError, dumps, loads
from mopd.sandbox.meter import Budget, Meter, OutOfTime

SO_PASSCRED, SCM_CREDENTIALS = 16, 2
CREDENTIALS = struct.Struct("3i")
F_ADD_SEALS, ALL_SEALS = 1033, 0xF
START_SECONDS = 30.0
END_SECONDS = 10.0
CHUNK = 1 << 16
EXTRA_ANSWER_BYTES = 100
"""What stands around a value in an answer."""
Message = dict[str, Any]


class SandboxFailure(Exception):
    """The sandbox itself doesn't work: says nothing about the program."""


class NoAnswer(Exception):
    """A question that brought no answer; the process is to be ended."""

    def __init__(self, status: Status, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


class Process:
    """A process that serves one program. Used by one thread at a time."""

    def __init__(self, launch: Callable[[Message, list[int]], None], limits: Limits, request: Message) -> None:
        """`launch` hands a request and descriptors to a zygote; with `stdin` it is for a whole program. Raises
        SandboxFailure where none comes up."""
        self.limits = limits
        self.output = b""
        self.exit_code: int | None = None
        """Minus the signal, where one ended it; None while it lives."""
        self._isolated: bool = request["isolated"]
        self._most_bytes = limits.output_bytes + EXTRA_ANSWER_BYTES
        self._buffer = b""
        self._hung_up = False
        self._meter: Meter | None = None
        self._handle: int | None = None
        self._stdout: int | None = None
        self._poller = select.poll()
        self._control, guest_control = report_channel()
        self._talk, guest_talk = socket.socketpair()
        self._talk.setblocking(False)
        descriptors = [guest_control.detach(), guest_talk.detach()]
        try:
            if "stdin" in request:
                self._stdout, writable = os.pipe()
                descriptors.append(writable)
                descriptors.append(sealed_file(request.pop("stdin")))
            launch(request | {"limits": vars(limits)}, descriptors)
            self._wait_for_program(expendable=request["expendable"])
        except BaseException:
            self.close()
            raise
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _wait_for_program(self, *, expendable: bool) -> None:
        self._control.settimeout(START_SECONDS)
        try:
            message, pid = receive_report(self._control)
            if message != b"program":
                raise SandboxFailure(message.decode(errors="replace") or "the sandbox ended before the program began")
            self._handle = os.pidfd_open(pid)
            self._meter = Meter(pid)
            if expendable:  # where memory of the whole slot runs out, it is the one to go
                Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
        except OSError as error:
            raise SandboxFailure(f"no program came up: {error}") from error

    @property
    def cpu_seconds(self) -> float:
        """CPU time that the program has used so far, its children's once it has ended."""
        return self._meter.cpu_seconds() if self._meter else 0.0

    def ask(self, question: Message, budget: Budget, room: int = 0) -> Message:
        """The answer to one question, at most `room` bytes over the limit. Raises NoAnswer, or SandboxFailure."""
        self._most_bytes = self.limits.output_bytes + EXTRA_ANSWER_BYTES + room
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            if self._talk.recv(CHUNK):
                raise NoAnswer("protocol_error", "the program wrote to the result channel before it was asked")
        name = secrets.token_hex(4)
        return read_answer(self._exchange({"id": name, **question}, budget), name)

    def run(self, question: Message, budget: Budget) -> Message | None:
        """Lets a whole program run to its end; what it told of its failure, if anything. `output` is what it wrote."""
        name = secrets.token_hex(4)
        line = self._exchange({"id": name, **question}, budget, to_the_end=True)
        return read_answer(line, name) if line else None

    def _exchange(self, question: Message, budget: Budget, *, to_the_end: bool = False) -> bytes:
        """Sends a question and collects one line, or with `to_the_end` everything until the program has ended."""
        assert self._meter is not None
        self._poller = select.poll()
        self._poller.register(self._control, select.POLLIN)
        if not self._hung_up:
            self._poller.register(self._talk, select.POLLIN | select.POLLOUT)
        if self._stdout is not None:
            self._poller.register(self._stdout, select.POLLIN)
        budget.begin(self._meter)
        try:
            return self._converse(memoryview(dumps(question)), budget, self._meter, to_the_end=to_the_end)
        except OutOfTime as reason:
            raise NoAnswer("timeout", str(reason)) from None
        finally:
            budget.end(self._meter)

    def _converse(self, unsent: memoryview, budget: Budget, meter: Meter, *, to_the_end: bool) -> bytes:
        while True:
            ready = dict(self._poller.poll(1000.0 * budget.seconds_left(meter)))
            if self._stdout in ready:
                self._collect_output()
            if ready.get(self._talk.fileno(), 0) & ~select.POLLOUT:
                self._collect_answer(early=bool(unsent))
                if not to_the_end and b"\n" in self._buffer:
                    return self._take_line()
            elif self._talk.fileno() in ready:
                unsent = self._send(unsent)
            elif self._control.fileno() in ready:
                return self._end(meter, to_the_end=to_the_end)

    def _send(self, unsent: memoryview) -> memoryview:
        with contextlib.suppress(BlockingIOError):
            try:
                unsent = unsent[self._talk.send(unsent) :]
            except (BrokenPipeError, ConnectionResetError):  # nobody reads; how the program ended is still to come
                unsent = unsent[:0]
        if not unsent:
            self._poller.modify(self._talk, select.POLLIN)
        return unsent

    def _collect_answer(self, *, early: bool) -> None:
        try:
            data = self._talk.recv(CHUNK)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self._poller.unregister(self._talk)
            self._hung_up = True
        elif early:
            raise NoAnswer("protocol_error", "the program wrote to the result channel before it was asked")
        self._buffer += data
        if len(self._buffer) > self._most_bytes:
            raise NoAnswer("output_limit", f"a result over {self.limits.output_bytes} bytes")

    def _take_line(self) -> bytes:
        line, _, surplus = self._buffer.partition(b"\n")
        self._buffer = b""
        if surplus:
            raise NoAnswer("protocol_error", "more than one answer to a question")
        return line

    def _collect_output(self) -> None:
        assert self._stdout is not None
        data = os.read(self._stdout, CHUNK)
        if not data:  # nobody can write any more
            self._poller.unregister(self._stdout)
            os.close(self._stdout)
            self._stdout = None
        self.output += data
        if len(self.output) > self.limits.output_bytes:
            raise NoAnswer("output_limit", f"over {self.limits.output_bytes} bytes of output")

    def _end(self, meter: Meter, *, to_the_end: bool) -> bytes:
        """Reads the report of the program's end; for a whole program the rest of what it wrote."""
        self._read_report(meter)
        if not to_the_end:
            raise NoAnswer("crashed", how_it_ended(self.exit_code))
        if self._stdout is not None:
            os.set_blocking(self._stdout, False)
            with contextlib.suppress(BlockingIOError):
                while self._stdout is not None:
                    self._collect_output()
        if not self._hung_up:
            self._collect_answer(early=False)
        return self._take_line() if self._buffer else b""

    def _read_report(self, meter: Meter) -> None:
        message, _ = receive_report(self._control)
        if not message and self._isolated:
            raise SandboxFailure("the sandbox ended while a program ran")
        killed = {"status": -signal.SIGKILL, "cpu": 0.0}  # it took its zygote with it
        report = json.loads(message) if message else killed
        self.exit_code = int(report["status"])
        meter.settle(float(report["cpu"]))

    def close(self) -> None:
        """Ends the program and, where it has a namespace, everything below it, and waits until they are gone."""
        if self._handle is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            waiter = select.poll()
            waiter.register(self._handle, select.POLLIN)
            waiter.poll(1000.0 * END_SECONDS)
        if self._meter is not None:
            self._meter.close()
        self._control.close()
        self._talk.close()
        for descriptor in (self._handle, self._stdout):
            if descriptor is not None:
                os.close(descriptor)
        self._handle = self._stdout = None


def report_channel() -> tuple[socket.socket, socket.socket]:
    """A pair of sockets for whole messages; the first learns from the kernel who sent them."""
    host_end, guest_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    host_end.setsockopt(socket.SOL_SOCKET, SO_PASSCRED, 1)
    return host_end, guest_end


def receive_report(channel: socket.socket) -> tuple[bytes, int]:
    """The next message and the process id, here, of its sender; empty when there is none to come."""
    try:
        data, ancillary, _, _ = channel.recvmsg(CHUNK, socket.CMSG_SPACE(CREDENTIALS.size))
    except ConnectionResetError:
        return b"", 0
    pids = [CREDENTIALS.unpack(content)[0] for _, kind, content in ancillary if kind == SCM_CREDENTIALS]
    return data, pids[0] if pids else 0


def read_answer(line: bytes, name: str) -> Message:
    """An answer, when it is one to the question of that name. Raises NoAnswer."""
    try:
        answer = loads(line)
    except WireError as error:
        raise NoAnswer("protocol_error", f"the answer is {error}") from None
    if not isinstance(answer, dict) or answer.pop("id", None) != name:
        raise NoAnswer("protocol_error", "the answer is not to the question that was asked")
    return answer


def how_it_ended(exit_code: int | None) -> str:
    """In words."""
    if exit_code is None or exit_code >= 0:
        return f"the program ended with exit code {exit_code} and without an answer"
    try:
        return f"the program was ended by {signal.Signals(-exit_code).name}"
    except ValueError:  # a real-time signal
        return f"the program was ended by signal {-exit_code}"


def sealed_file(text: str) -> int:
    """A descriptor of a file in memory that nobody can change."""
    descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(text.encode("utf-8", "surrogateescape"))
    os.lseek(descriptor, 0, os.SEEK_SET)
    fcntl.fcntl(descriptor, F_ADD_SEALS, ALL_SEALS)
    return descriptor
