"""The conversation of a confined process with the host about one program. Runs inside the sandbox: the standard library
alone. The program shares this interpreter and can change all of it; the host believes nothing that it hears."""

from __future__ import annotations

import atexit
import gc
import io
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from mopd.sandbox.guest.channel import PROGRAM, Answer, Channel, Conversation, execute, failure, new_module
from mopd.sandbox.guest.program_peer import ProgramPeer, find
from mopd.sandbox.guest.tests import run_tests
from mopd.sandbox.guest.wire import TooLarge, decode, dumps, encode

WARM_UPS = 20


def serve(channel: Channel) -> None:
    """Answers questions until the host hangs up."""
    functions: dict[str, Any] = {}
    peer: ProgramPeer | None = None
    gc.enable()
    while (question := channel.read()) is not None:
        if question["do"] == "call":
            channel.answer(question, attempt(channel, call, functions, question))
        elif question["do"] == "load":
            functions = new_module("program")
            channel.answer(question, attempt(channel, execute, question["source"], PROGRAM, functions))
        elif question["do"] == "peer":
            peer = peer or ProgramPeer(Conversation(channel, question), functions)
            peer.serve(question)
        elif question["do"] == "tests":
            run_tests(channel, question)
        else:
            run_whole(channel, question)


def warm_up() -> None:
    """Goes through what every program goes through, so that its pages are touched once, here, and not in each fork."""
    ends = socket.socketpair()
    channel = Channel(ends[0].fileno(), 1 << 16)
    for _ in range(WARM_UPS):
        names = new_module("program")
        attempt(channel, execute, "def f(a, b):\n    return [a, b]\n", PROGRAM, names)
        question = {"id": "", "name": "f", "args": encode([1, {"a": (2.5, None)}]), "kwargs": encode({})}
        channel.answer(question, attempt(channel, call, names, question))
        ends[1].recv(1 << 16)
        ends[1].send(dumps(question))
        channel.read()
        attempt(channel, call, names, question | {"name": "g"})
    del sys.modules["program"]
    for end in ends:
        end.close()


def attempt(channel: Channel, action: Callable[..., Any], *args: Any) -> Answer:
    """What an action of the program comes to, as an answer."""
    try:
        return {"ok": encode(action(*args), channel.max_bytes)}
    except TooLarge:
        return {"over": True}
    except BaseException as error:
        return failure(error)


def call(functions: dict[str, Any], question: dict[str, Any]) -> Any:
    """`f(...)`, or `Solution().f(...)` for "Solution.f"."""
    function = find(functions, question["name"])
    return function(*decode(question["args"]), **decode(question["kwargs"]))


def run_whole(channel: Channel, question: dict[str, Any]) -> None:
    """Runs a program as `python program.py` would, and ends as that would. Descriptors 0 and 1 are in place."""
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    code = 0
    try:
        execute(question["source"], PROGRAM, new_module("__main__"))
    except SystemExit as error:
        code = exit_code(error)
        if code:
            channel.answer(question, failure(error))
    except BaseException as error:
        code = 1
        channel.answer(question, failure(error))
    os._exit(finish(code))


def exit_code(error: SystemExit) -> int:
    if error.code is None:
        return 0
    return error.code & 0xFF if isinstance(error.code, int) else 1


def finish(code: int) -> int:
    """What an interpreter does at its end: waits for threads, runs atexit functions, writes what is buffered."""
    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except (ValueError, OSError, io.UnsupportedOperation):
        return code or 120  # as Python does when stdout can't be written at the end
    return code
