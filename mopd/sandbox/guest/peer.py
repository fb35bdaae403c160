"""One of two interpreters that share objects, though not memory: each asks the other to do things with its own.

Runs inside the sandbox: the standard library alone. A request brings an answer; on the way to it the other side may ask
back, as when a function that it was given is called. `objects` says how what they speak of goes to and fro.
"""

from __future__ import annotations

import copy
import functools
import itertools
from _thread import RLock
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from mopd.sandbox.guest.channel import failure
from mopd.sandbox.guest.objects import Message, Objects
from mopd.sandbox.guest.remote import number_of
from mopd.sandbox.guest.wire import WireError

READ_AHEAD_AFTER, READ_AHEAD_LIMIT = 64, 256
"""Items of an iterator that were taken one by one before some are asked for ahead: a quarter of those taken."""
AHEAD = ("map", "filter", "zip", "enumerate", "generator")
"""Iterators that are read ahead."""
DIRECT: dict[str, Callable[..., Any]] = {
    "__repr__": repr,
    "__str__": str,
    "__hash__": hash,
    "__dir__": dir,
    "__copy__": copy.copy,
    "__deepcopy__": copy.deepcopy,
}


class Ahead:
    """What is known of an iterator over there: items that nobody took yet, and how it ends."""

    def __init__(self) -> None:
        self.items: deque[Any] = deque()
        self.end: Message | None = None
        self.num_taken = 0

    def wanted(self, kind: str) -> int:
        """How many items to ask for."""
        if kind not in AHEAD or self.num_taken < READ_AHEAD_AFTER:
            return 1
        return min(self.num_taken // 4, READ_AHEAD_LIMIT)


class Peer(Objects):
    """This side of the conversation."""

    def __init__(self, exchange: Callable[[Message], Message], first: int, names: Mapping[str, Any]) -> None:
        """`exchange` sends a message and waits for the next; the rest is as for `Objects`."""
        super().__init__(first, names)
        self._exchange = exchange
        self._ahead: dict[int, Ahead] = {}
        self._unread: list[list[int]] = []
        self._batches: dict[int, list[Any]] = {}
        self.actions = ACTIONS
        self._turn = RLock()  # threads ask one after the other

    # what is asked of the other side

    def ask(self, op: str, on: Any = None, *, name: str = "", may_stop: bool = False, **fields: Any) -> Any:
        """What a request brings: a value, or an exception that is raised here; of `next` the items and their end."""
        with self._turn:
            return self._ask(op, on, name, may_stop=may_stop, fields=fields)

    def _ask(self, op: str, on: Any, name: str, *, may_stop: bool, fields: dict[str, Any]) -> Any:
        target = {"y": number_of(on)} if op == "next" else self.encode(on)  # what was read ahead stays with it
        request: Message = {"op": op, "on": target, "name": name}
        for field, value in fields.items():
            request[field] = value if field == "count" else self.encode_all(value)
        answer = self._conversation(self.sealed(request))
        if "raised" in answer:
            raise self.raised(answer, may_stop=may_stop)
        value = self.decode(answer.get("value"))
        return (value, answer.get("end")) if op == "next" else value

    def _conversation(self, message: Message) -> Message:
        while True:
            message = self._exchange(message)
            self.take_in(message)
            if "op" not in message:
                return message
            message = self.perform(message)

    def raised(self, answer: Message, *, may_stop: bool) -> BaseException:
        """The exception that an answer tells of."""
        error = self.decode(answer["raised"])
        if not isinstance(error, BaseException):
            raise WireError("what was raised is no exception")
        return error

    def get(self, thing: Any, name: str) -> Any:
        """An attribute."""
        return self.ask("get", thing, name=name)

    def set(self, thing: Any, name: str, value: Any) -> None:
        """Sets an attribute."""
        self.ask("set", thing, name=name, args=(value,))

    def delete(self, thing: Any, name: str) -> None:
        """Deletes an attribute."""
        self.ask("delete", thing, name=name)

    def call(self, thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Calls a function, or makes an instance of a class."""
        return self.ask("call", thing, args=args, kwargs=kwargs)

    def special(self, thing: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Calls a special method, which may answer NotImplemented."""
        return self.ask("special", thing, name=name, args=args, kwargs=kwargs)

    def compare(self, thing: Any, name: str, other: Any) -> Any:
        """The same of a comparison."""
        return self.special(thing, name, (other,), {})

    def finish(self, thing: Any, name: str, args: tuple[Any, ...]) -> Any:
        """Awaits what a method returns (or with the name "" the thing itself), over there, to its end."""
        return self.ask("finish", thing, name=name, args=args, may_stop=name == "__anext__")

    def next(self, thing: Any) -> Any:
        """The next item of an iterator. Raises StopIteration."""
        number = number_of(thing)
        assert number is not None
        ahead = self._ahead.setdefault(number, Ahead())
        if not ahead.items and ahead.end is None:
            items, ahead.end = self.ask("next", thing, may_stop=True, count=ahead.wanted(type(thing).__name__))
            ahead.items.extend(items)
        if ahead.items:
            ahead.num_taken += 1
            return ahead.items.popleft()
        end, ahead.end = ahead.end, None
        if not isinstance(end, dict):
            raise WireError("neither an item nor an end")
        raise self.raised(end, may_stop=True)

    # what the other side asks

    def perform(self, request: Message) -> Message:
        """Does what is asked, and what came of it as a message."""
        try:
            return self.sealed(self._performed(request))
        except WireError:
            raise
        except BaseException as error:
            return self.sealed({"raised": self.encode(error), **failure(error)})

    def _performed(self, request: Message) -> Message:
        action = self.actions.get(request["op"])
        if action is None:
            raise WireError("an unknown request")
        on, name = self.decode(request["on"]), request["name"]
        args = [self.decode(item) for item in request.get("args", ())]
        kwargs = {key: self.decode(item) for key, item in request.get("kwargs", {}).items()}
        self.permit(request["op"], on, name)
        if request["op"] == "next":
            return self._items(on, request["count"])
        return {"value": self.encode(action(on, name, *args, **kwargs))}

    def permit(self, op: str, on: Any, name: str) -> None:
        """Raises where the other side may not ask this."""

    def _items(self, on: Any, count: int) -> Message:
        items: list[Any] = []
        end: Message | None = None
        try:
            while len(items) < count:
                items.append(next(on))
        except BaseException as error:
            end = {"raised": self.encode(error), **failure(error)}
        self._batches[self._numbers[id(on)]] = items
        return {"value": self.encode(tuple(items)), "end": end}

    # items that were read ahead and never taken go back with their iterator

    def returning(self, number: int) -> None:
        """An iterator of the other side goes back to it."""
        ahead = self._ahead.pop(number, None)
        if ahead is not None and ahead.items:
            self._unread.append([number, len(ahead.items)])

    def sealed(self, message: Message) -> Message:
        """As in `Objects`, with the numbers of iterators that were read too far."""
        message["unread"], self._unread = self._unread, []
        return super().sealed(message)

    def take_in(self, message: Message) -> None:
        """As in `Objects`; iterators that were read too far give again what nobody took."""
        for number, count in message.get("unread", ()):
            iterator = self._shared[number]
            del self._numbers[id(iterator)]
            whole = self._shared[number] = itertools.chain(self._batches[number][-count:], iterator)
            self._numbers[id(whole)] = number
        super().take_in(message)


def special(on: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    """Calls a special method as Python's own syntax does: on the class."""
    if name in DIRECT:
        return DIRECT[name](on)
    method = getattr(type(on), name, None)
    if method is None and isinstance(on, type) and name == "__getitem__":
        return on[args[0]]  # type: ignore[index]
    if method is None:
        raise TypeError(f"{type(on).__name__!r} object has no {name}")
    return method(on, *args, **kwargs)


def finish(on: Any, name: str, *args: Any) -> Any:
    """Awaits a thing, or what its method of that name returns, to its end."""

    async def awaited() -> Any:
        return await (getattr(type(on), name)(on, *args) if name else on)

    return event_loop().run_until_complete(awaited())


@functools.cache
def event_loop() -> Any:
    """One for all: closing it would end generators that are still read from."""
    import asyncio

    return asyncio.new_event_loop()


ACTIONS: dict[str, Callable[..., Any]] = {
    "get": getattr,
    "set": setattr,
    "delete": delattr,
    "call": lambda on, name, *args, **kwargs: on(*args, **kwargs),
    "special": special,
    "finish": finish,
    "next": next,
}
"""What may be asked: each is called with the thing, a name, and arguments."""
