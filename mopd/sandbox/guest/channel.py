"""How a confined process speaks to the host, and runs source. Runs inside the sandbox: the standard library alone."""

from __future__ import annotations

import os
import sys
import types
from types import TracebackType
from typing import Any

from mopd.sandbox.guest.wire import dumps, loads

PROGRAM, TESTS = "<program>", "<tests>"
MAX_ERROR = 2000
Answer = dict[str, Any]


class Channel:
    """Lines of JSON to and from the host."""

    def __init__(self, descriptor: int, max_bytes: int) -> None:
        self.descriptor = descriptor
        self.max_bytes = max_bytes
        self._buffer = b""

    def read(self) -> dict[str, Any] | None:
        """The host's next message; None when it hung up."""
        parts = [self._buffer]
        while b"\n" not in parts[-1]:
            data = os.read(self.descriptor, 1 << 16)
            if not data:
                return None
            parts.append(data)
        line, _, self._buffer = b"".join(parts).partition(b"\n")
        return loads(line)

    def write(self, message: dict[str, Any]) -> None:
        left = memoryview(dumps(message))
        while left:
            left = left[os.write(self.descriptor, left) :]

    def answer(self, question: dict[str, Any], answer: Answer) -> None:
        """Answers; a value over the limit isn't sent."""
        self.write({"id": question["id"], **answer})


class Conversation:
    """Messages that are answers to the host's questions, each bringing the next question."""

    def __init__(self, channel: Channel, question: dict[str, Any]) -> None:
        self.channel = channel
        self.question = question

    def exchange(self, message: Answer) -> dict[str, Any]:
        """Answers with a message for the other side; the message that comes back. Ends when the host hangs up."""
        self.channel.answer(self.question, {"message": message})
        question = self.channel.read()
        if question is None:
            os._exit(0)
        self.question = question
        return question["message"]


def failure(error: BaseException) -> Answer:
    """An exception as one line, with the line of the program that raised it."""
    text = type(error).__name__
    try:
        message = str(error)
    except BaseException:  # the program's own class
        message = ""
    if isinstance(error, SyntaxError) and error.filename == PROGRAM:
        message = error.msg
    text = f"{text}: {message}" if message else text
    return {"error": text[:MAX_ERROR], "line": line_of(error)}


def line_of(error: BaseException) -> int | None:
    """The innermost line of the program in the traceback."""
    if isinstance(error, SyntaxError) and error.filename == PROGRAM:
        return error.lineno
    line = None
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == PROGRAM:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def new_module(name: str) -> dict[str, Any]:
    """The globals of an empty module, which imports find under its name."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    return module.__dict__


def execute(source: str, filename: str, names: dict[str, Any]) -> None:
    """Runs source as a module's."""
    exec(compile(source, filename, "exec", dont_inherit=True), names)
