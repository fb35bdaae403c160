"""Values and objects as two interpreters speak of them: what is plain is copied, the rest goes by number.

Runs inside the sandbox: the standard library alone.

    plain values   None, numbers, text, bytes, tuples, dates, ...: copied (`plain`)
    containers     lists, dicts, sets, deques, ...: on both sides, kept alike (`mirrors`)
    anything else  stays where it was made; the other side has a stand-in for it (`remote`)
"""

from __future__ import annotations

import itertools
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from types import CoroutineType, TracebackType
from typing import Any

from mopd.sandbox.guest.arrays import array_form, is_array, new_array
from mopd.sandbox.guest.mirrors import BASES, KINDS, Mirror, Mirrors, refill
from mopd.sandbox.guest.plain import BUILT_IN, constant, decode_plain, encode_plain, known_class, name_of
from mopd.sandbox.guest.remote import FORWARDED, Remote, RemoteMeta, make_class, make_instance, number_of
from mopd.sandbox.guest.wire import IMMUTABLE, WireError, as_base

Message = dict[str, Any]
OWN_MODULES = ("program", "tests")


class Objects:
    """This side's objects that the other knows, and the stand-ins here for the other's."""

    names_things = False
    """Whether functions and classes of the standard library go by name: the other side imports them."""

    def __init__(self, first: int, names: Mapping[str, Any]) -> None:
        """Numbers of objects are `first`, `first + 2`, ...; `names` are the globals here, whose classes stand for
        classes of the same name over there."""
        self._count = itertools.count(first, 2)
        self._names = names
        self._shared: dict[int, Any] = {}
        self._numbers: dict[int, int] = {}
        self._stand_ins: dict[int, Callable[[], Any]] = {}
        self._modules: dict[int, str] = {}
        self._released: set[int] = set()
        self._returned: set[int] = set()
        self._described: list[list[Any]] = []
        self._filling = False
        self.mirrors = Mirrors(lambda: next(self._count))

    def counterpart(self, cls: type) -> type:
        """The class here that is the same as one over there: of the standard library, or, by its name among our own
        globals, one that both sides have made from the same source."""
        module, name = self._modules[number_of(cls) or 0], cls.__name__
        if module not in OWN_MODULES:
            return known_class(module, name) or cls
        own = self._names.get(name)
        return own if type(own) is type and own.__module__ == self._names.get("__name__") else cls

    def sealed(self, message: Message) -> Message:
        """A message with all that the other side must know to read it."""
        if not self._filling:
            message["forget"] = self.forgotten()
            message["mirrors"] = [self._mirrored(mirror) for mirror in self.mirrors.changed()]
        message["classes"], self._described = self._described, []
        return message

    def forgotten(self) -> list[int]:
        """The numbers of the other side's objects that nobody here holds any more."""
        gone = self._released - self._returned
        self._released -= gone
        self._returned.clear()
        return sorted(gone)

    def _mirrored(self, mirror: Mirror) -> list[Any]:
        container = mirror.container
        kind: Any = type(container).__name__
        if is_array(container):
            return [mirror.number, kind, self.encode_all(mirror.agreed), self.encode(array_form(container))]
        if type(container) not in KINDS.values():
            kind = None if isinstance(container, Remote) else self._class(type(container))
        extra = container.maxlen if isinstance(container, deque) else getattr(container, "default_factory", None)
        return [mirror.number, kind, self.encode_all(mirror.agreed), self.encode(extra)]

    def take_in(self, message: Message) -> None:
        """Reads what a message brings along, before it is read itself."""
        self._drop(message.get("forget", ()))
        for description in message.get("classes", ()):
            self._learn_class(*description)
        mirrors = message.get("mirrors", ())
        for number, kind, _, extra in mirrors:
            if number not in self.mirrors:
                self.mirrors.add(number, self._new_container(number, kind, self.decode(extra)))
        outer, self._filling = self._filling, True
        try:
            for number, _, parts, _ in mirrors:
                refill(self.mirrors.find(number), [self.decode(part) for part in parts])
                self.mirrors.agree(number)
        finally:
            self._filling = outer

    def _drop(self, numbers: list[int]) -> None:
        self.mirrors.drop(numbers)
        for number in numbers:
            thing = self._shared.pop(number, None)
            self._numbers.pop(id(thing), None)

    def _new_container(self, number: int, kind: Any, extra: Any) -> Any:
        if isinstance(kind, int):
            return make_instance(self._class_of(kind), number, None)
        if kind == "ndarray":
            return new_array(*extra)
        made = KINDS[kind]
        if made is deque:
            return deque(maxlen=extra)
        return made(extra) if kind == "defaultdict" else made()

    def encode_all(self, values: Any) -> Any:
        """The values of a list, or of a mapping by name."""
        if isinstance(values, dict):
            return {name: self.encode(value) for name, value in values.items()}
        return [self.encode(value) for value in values]

    def returning(self, number: int) -> None:
        """What the other side made goes back to it."""

    def encode(self, value: Any) -> Any:
        """A value as JSON data."""
        kind = type(value)
        if kind is tuple or kind is frozenset:
            return {"t" if kind is tuple else "f": [self.encode(item) for item in value]}
        if kind in KINDS.values() or is_array(value):
            return {"m": self.mirrors.number_of(value)}
        number = number_of(value)
        if number is not None:
            self.returning(number)
            self._returned.add(number)
            return {"y": number}
        plain = encode_plain(value, self.encode)
        if plain is not None or value is None or kind is TracebackType:
            return plain
        name = name_of(value) if self.names_things else None
        if name is not None:
            return {"g": name}
        return {"k": self._class(value)} if issubclass(kind, type) else self._instance(value, kind)

    def _instance(self, value: Any, kind: type) -> Any:
        cls = self._class(kind)
        if issubclass(kind, BASES):
            number = self.mirrors.number_of(value)
            self._shared[number] = value
            return {"m": number}
        if issubclass(kind, BaseException):
            return {"p": [self._share(value), cls, self.encode(tuple(value.args))]}
        if issubclass(kind, IMMUTABLE):
            return {"p": [self._share(value), cls, self.encode(as_base(value))]}
        return {"a" if kind is CoroutineType else "p": [self._share(value), cls, None]}

    def _share(self, value: Any) -> int:
        """The number of an object of ours, which the other side may speak to from now on."""
        number = self._numbers.get(id(value))
        if number is None:
            number = next(self._count)
            self._numbers[id(value)] = number
            self._shared[number] = value
        return number

    def _class(self, cls: type) -> int:
        """The number of a class of ours; described where the other side doesn't know it."""
        if id(cls) in self._numbers:
            return self._numbers[id(cls)]
        bases: list[Any] = []
        for base in cls.__bases__:
            if base.__name__ in BUILT_IN and BUILT_IN[base.__name__] is base:
                bases.append(base.__name__)
            elif isinstance(base, RemoteMeta):
                bases.append(-(number_of(base) or 0))
            elif base is not object:
                bases.append(self._class(base))
        number = self._share(cls)
        own = [name for name, value in vars(cls).items() if value is not None and self._asked(cls, name)]
        self._described.append([number, str(cls.__module__), str(cls.__name__), bases, own, cls.__hash__ is not None])
        return number

    @staticmethod
    def _asked(cls: type, name: str) -> bool:
        """Whether stand-ins must ask for that name: a special method, or what a built-in base has too."""
        natives = (base for base in (*BASES, *IMMUTABLE, BaseException) if base in cls.__mro__)
        return name in FORWARDED or (not name.startswith("_") and any(hasattr(base, name) for base in natives))

    def _learn_class(
        self, number: int, module: str, name: str, bases: list[Any], own: list[str], hashable: bool
    ) -> None:
        known = tuple(self._base(base) for base in bases)
        if not all(each in FORWARDED or (each.isidentifier() and not each.startswith("_")) for each in own):
            raise WireError("no class: it has a name of its own")
        self._modules[number] = module
        self._keep(number, make_class(self, number, name, known, own, hashable=hashable))

    def _base(self, base: Any) -> type:
        if isinstance(base, str):
            if base == "type":
                raise WireError("a class of classes")
            return BUILT_IN[base]
        return self._shared[-base] if base < 0 else self._class_of(base)

    def _class_of(self, number: int) -> RemoteMeta:
        found = self._stand_ins[number]()
        if type(found) is not RemoteMeta:
            raise WireError("no class")
        return found

    def _keep(self, number: int, stand_in: Any) -> None:
        """Holds a stand-in weakly, where that can be: when it goes, the other side may drop what it stands for."""
        try:
            if isinstance(stand_in, type):
                raise TypeError
            self._stand_ins[number] = weakref.ref(stand_in, lambda _: self._lost(number))
        except TypeError:
            self._stand_ins[number] = lambda: stand_in

    def _lost(self, number: int) -> None:
        self._stand_ins.pop(number, None)
        self._released.add(number)

    def decode(self, data: Any) -> Any:
        """The value that the other side encoded. Raises WireError."""
        try:
            return self._decoded(data)
        except WireError:
            raise
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError) as error:
            raise WireError(f"no value: {error}") from None

    def _decoded(self, data: Any) -> Any:
        if not isinstance(data, dict):
            return decode_plain(data, self.decode)
        ((tag, content),) = data.items()
        if tag == "t" or tag == "f":
            items = [self.decode(item) for item in content]
            return tuple(items) if tag == "t" else frozenset(items)
        if tag == "m":
            return self.mirrors.find(content)
        if tag == "y":
            return self._shared[content]
        if tag == "k":
            return self._class_of(content)
        if tag == "p":
            return self._stand_in(*content)
        if tag == "a":
            return self._coroutine(self._stand_in(*content))
        return self.named(content) if tag == "g" else decode_plain(data, self.decode)

    def named(self, name: str) -> Any:
        """A built-in type or constant."""
        return constant(name)

    def finish(self, thing: Any, name: str, args: tuple[Any, ...]) -> Any:
        """Awaits what a method returns (or with the name "" the thing itself), over there, to its end."""
        raise NotImplementedError

    async def _coroutine(self, stand_in: Any) -> Any:
        return self.finish(stand_in, "", ())

    def _stand_in(self, number: int, cls: int, value: Any) -> Any:
        self._released.discard(number)
        known = self._stand_ins.get(number)
        found = known() if known else None
        if found is None:
            found = make_instance(self._class_of(cls), number, self.decode(value))
            self._keep(number, found)
        return found
