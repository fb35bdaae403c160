"""Tests that run in a sandbox of their own, and ask things of a program in another.

Runs inside the sandbox: the standard library alone. The tests are trusted, the program is not: what it may ask of the
tests is little, and it never decides whether a value of its own equals one of theirs.
"""

from __future__ import annotations

import os
import random
import sys
from types import BuiltinFunctionType, FunctionType, GeneratorType, MethodType, ModuleType
from typing import Any, NoReturn

from mopd.sandbox.guest.channel import TESTS, Answer, Channel, Conversation, execute, failure, new_module
from mopd.sandbox.guest.decoys import agrees_to_anything
from mopd.sandbox.guest.mirrors import BASES
from mopd.sandbox.guest.objects import Message
from mopd.sandbox.guest.peer import Peer
from mopd.sandbox.guest.remote import FORWARDED, Remote, RemoteMeta
from mopd.sandbox.guest.wire import IMMUTABLE, WireError

OPPOSITES = {
    "__lt__": ("__gt__", "__ge__"),
    "__le__": ("__gt__",),
    "__gt__": ("__lt__", "__le__"),
    "__ge__": ("__lt__",),
}
TOLD_OF_FUNCTIONS = ("__name__", "__qualname__", "__doc__", "__module__")
DRIVES = ("send", "throw", "__next__")
SEED = random.seed
FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodType)


class TestsPeer(Peer):
    """The tests' end."""

    __test__ = False
    names_things = True

    def __init__(self, conversation: Conversation, names: dict[str, Any]) -> None:
        super().__init__(conversation.exchange, 2, names)
        self.conversation = conversation
        self.relayed: BaseException | None = None
        """The last exception that came from the program."""
        self.tests_a_class = False
        """Whether comparing is the program's business: a class of its own is under test."""
        self.unequal = ""

    def take_in(self, message: Message) -> None:
        """As everywhere; a message that can't be read ends the tests, whatever they catch."""
        try:
            super().take_in(message)
            if "printed" in message:
                sys.stdout.write(message["printed"])
        except (WireError, LookupError, TypeError, ValueError, AttributeError) as error:
            self.end(error)

    def decode(self, data: Any) -> Any:
        """As everywhere; what can't be read ends the tests."""
        try:
            return super().decode(data)
        except WireError as error:
            self.end(error)

    def end(self, error: Exception) -> NoReturn:
        """Says that the program did not keep to the language, and ends."""
        self.conversation.channel.answer(self.conversation.question, {"unreadable": f"{type(error).__name__}: {error}"})
        os._exit(0)

    def forgotten(self) -> list[int]:
        """Also the containers that the tests don't hold any more."""
        return self.mirrors.unused() + super().forgotten()

    def raised(self, answer: Message, *, may_stop: bool) -> BaseException:
        """The exception; but none that would end a loop of the tests in silence."""
        error = super().raised(answer, may_stop=may_stop)
        stops = isinstance(error, (StopIteration, StopAsyncIteration))
        if (stops and not may_stop) or not issubclass(type(error), (Exception, SystemExit)):
            error = RuntimeError(str(answer.get("error")))
        self.relayed = error
        return error

    def get(self, thing: Any, name: str) -> Any:
        """An attribute; driving an iterator may end it."""
        if name in DRIVES and hasattr(type(thing), "__next__"):
            return lambda *args: self.ask("special", thing, name=name, args=args, kwargs={}, may_stop=True)
        return super().get(thing, name)

    def seed(self, *args: Any, **kwargs: Any) -> None:
        """Seeds the random numbers of both interpreters."""
        SEED(*args, **kwargs)
        self.ask("seed", args=args, kwargs=kwargs)

    # what the program may ask

    def perform(self, request: Message) -> Message:
        """As everywhere; but only with what the program was given by reference, and no other way in."""
        try:
            if request["on"].keys() != {"y"}:
                raise WireError("an object of the tests is wanted")
            return super().perform(request)
        except (WireError, LookupError, AttributeError) as error:
            self.end(error)

    def permit(self, op: str, on: Any, name: str) -> None:
        """Calling what it was given, and plain attributes of objects; nothing that leads to the tests' own names."""
        if isinstance(on, ModuleType) or (op in ("set", "delete") and isinstance(on, (type, *FUNCTIONS))):
            raise TypeError("not for the program")
        if op == "special":
            allowed = name in FORWARDED or name in ("__dir__", "__copy__", "__deepcopy__")
        elif op in ("get", "set", "delete"):
            allowed = not name.startswith("__") and name[:3] not in ("gi_", "cr_", "ag_", "co_", "tb_")
            allowed = name in TOLD_OF_FUNCTIONS if isinstance(on, FUNCTIONS) else allowed
            allowed = name in DRIVES if isinstance(on, GeneratorType) else allowed
            allowed = allowed and not (isinstance(on, str) and name.startswith("format"))  # "{0.__globals__}"
        else:
            allowed = True
        if not allowed or isinstance(getattr(on, name, None) if op == "get" else None, ModuleType):
            raise AttributeError(f"{type(on).__name__!r} object has no attribute {name!r}")

    # comparisons

    def compare(self, thing: Any, name: str, other: Any) -> Any:
        """Compares something of the program's.

        With a value of the tests' own, what it is worth as a built-in type decides here; where it is worth none it
        differs. Only where a class is under test are its own methods believed, as `in` always is, and not when they
        agree to anything.
        """
        if not is_of_program(other):
            native = native_base(type(thing))
            if native is not None and hasattr(native, name) and not self.tests_a_class:
                return getattr(native, name)(thing, other)
            if name != "__contains__" and not (self.tests_a_class and is_plain(other)):
                self.note(thing, other)
                return NotImplemented
        said = self.special(thing, name, (other,), {})
        if said is True and self._is_no_answer(thing, name, other):
            self.note(thing, other)
            return False
        return said

    def note(self, thing: Any, other: Any) -> None:
        """Keeps for the failure's text that a comparison could not go the program's way."""
        if is_plain(other):
            self.unequal = f"a {type(thing).__name__!r} equals no built-in value here, whatever its class says"

    def _is_no_answer(self, thing: Any, name: str, other: Any) -> bool:
        """Whether a yes says nothing: the opposite is answered with yes as well, or the same of other values."""
        if name in OPPOSITES:
            return any(self._says(thing, opposite, other) for opposite in OPPOSITES[name])
        return name != "__ne__" and agrees_to_anything(lambda value: self._says(thing, name, value), other)

    def _says(self, thing: Any, name: str, other: Any) -> bool:
        try:
            return self.special(thing, name, (other,), {}) is True
        except Exception:  # it has no such method, or can't compare the two: it does not agree
            return False


def is_of_program(value: Any) -> bool:
    """Whether a value is a stand-in."""
    return isinstance(type(value), RemoteMeta) or type(value) is RemoteMeta


def is_plain(value: Any) -> bool:
    """Whether a value is of a built-in type, so that its class can't compare by itself."""
    return value is None or type(value) in (bool, *IMMUTABLE, *BASES)


def native_base(cls: type) -> Any:
    """The built-in type that a stand-in's class derives from; None where there is none."""
    return next((base for base in cls.__mro__ if not issubclass(base, Remote) and base is not object), None)


def run_tests(channel: Channel, question: dict[str, Any]) -> None:
    """Trusted tests of a program that lives in another sandbox: what they ask of it goes through the host."""
    names = new_module("tests")
    conversation = Conversation(channel, question)
    peer = TestsPeer(conversation, names)
    answer: Answer = {"ok": None}
    try:
        for name in question["names"]:
            names[name] = peer.ask("find", name=name)
        if "stdout" in question["source"]:
            peer.ask("listen")
        if "seed" in question["source"]:
            random.seed = peer.seed
        entry = names["candidate"] = names[question["names"][0]]
        peer.tests_a_class = isinstance(entry, RemoteMeta)
        execute(question["source"], TESTS, names)
    except BaseException as error:
        answer = failure(error) | {"relayed": error is peer.relayed}
        if peer.unequal and isinstance(error, AssertionError):
            answer["error"] += f" ({peer.unequal})"
    channel.answer(conversation.question, answer)
