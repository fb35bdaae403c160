"""Objects that stay in another interpreter: the classes of their stand-ins here.

Runs inside the sandbox: the standard library alone. Each class over there gets a class here that has the special
methods which that class defines, so that `len(x)`, `x + 1`, `with x`, `isinstance(x, Stack)` and `except StackError`
mean what they mean there. Where it derives from a built-in type, the stand-in does too, and holds the same value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

COMPARISONS = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__contains__")
"""What an assert mostly rests on."""
_SPECIAL = """
    neg pos abs invert int float complex index round trunc floor ceil bool len length_hint iter next reversed
    getitem setitem delitem missing call enter exit hash repr str bytes format fspath await aiter anext aenter aexit
"""
_OPERATORS = "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and or xor"
FORWARDED = {
    *COMPARISONS,
    *(f"__{name}__" for name in _SPECIAL.split()),
    *(f"__{prefix}{name}__" for name in _OPERATORS.split() for prefix in ("", "r", "i")),
}
"""The special methods that a stand-in passes on, where the class over there defines them."""
AWAITED = ("__anext__", "__aenter__", "__aexit__")
"""Those whose answer is awaited: over there, to its end."""
CLASS_METHODS = ("__len__", "__iter__", "__getitem__", "__contains__", "__reversed__")
"""What a class can do by its metaclass, as an enumeration does."""


class Link(Protocol):
    """What a stand-in needs of the connection to the other interpreter."""

    def get(self, thing: Any, name: str) -> Any: ...
    def set(self, thing: Any, name: str, value: Any) -> None: ...
    def delete(self, thing: Any, name: str) -> None: ...
    def call(self, thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...
    def special(self, thing: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...
    def compare(self, thing: Any, name: str, other: Any) -> Any: ...
    def next(self, thing: Any) -> Any: ...
    def finish(self, thing: Any, name: str, args: tuple[Any, ...]) -> Any: ...
    def counterpart(self, cls: type) -> type: ...


class RemoteMeta(type):
    """The class of stand-ins' classes: making an instance, and attributes of the class, are the other side's."""

    _mopd_link: Link
    _mopd_number: int

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """A new instance over there."""
        return cls._mopd_link.call(cls, args, kwargs)

    def __new__(cls, name: str, *_: Any, **__: Any) -> Any:
        """Stand-ins' classes are made by `make_class` alone."""
        raise TypeError(f"{name!r} can't derive from a class that lives in another interpreter")

    def __getattr__(cls, name: str) -> Any:
        """An attribute of the class over there."""
        return cls._mopd_link.get(cls, name)

    def __setattr__(cls, name: str, value: Any) -> None:
        """Sets it over there."""
        cls._mopd_link.set(cls, name, value)

    def __dir__(cls) -> Iterable[str]:
        """The names over there."""
        return list(cls._mopd_link.special(cls, "__dir__", (), {}))


class Remote:
    """What all stand-ins share."""

    _mopd_link: Link

    def __getattr__(self, name: str) -> Any:
        """An attribute over there."""
        return self._mopd_link.get(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets it over there; what an exception is told by Python itself stays here."""
        if name.startswith("__") and isinstance(self, BaseException):
            object.__setattr__(self, name, value)
        else:
            self._mopd_link.set(self, name, value)

    def __delattr__(self, name: str) -> None:
        """Deletes it over there."""
        self._mopd_link.delete(self, name)

    def __repr__(self) -> str:
        """As over there; something else where that fails."""
        try:
            return str(self._mopd_link.special(self, "__repr__", (), {}))
        except Exception:  # a class that can't show itself must not hide what a test found
            return f"<{type(self).__name__} object>"

    def __copy__(self) -> Any:
        """Made over there."""
        return self._mopd_link.special(self, "__copy__", (), {})

    def __deepcopy__(self, memo: Any) -> Any:
        """Made over there."""
        return self._mopd_link.special(self, "__deepcopy__", (), {})

    def __dir__(self) -> Iterable[str]:
        """The names over there."""
        return list(self._mopd_link.special(self, "__dir__", (), {}))

    def __reduce_ex__(self, protocol: Any) -> Any:
        """What stays elsewhere can't be written down here."""
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def _attributes(self) -> Any:
        """The attributes over there."""
        return self._mopd_link.get(self, "__dict__")

    def _class(self) -> Any:
        """The class that both sides have under this name, where there is one."""
        return type(self)._mopd_link.counterpart(type(self))

    locals().update(__dict__=property(_attributes), __class__=property(_class))
    del _attributes, _class


def number_of(thing: Any) -> int | None:
    """The number of what a stand-in stands for; None for anything else."""
    cls = type(thing)
    if cls is RemoteMeta:
        return int(type.__getattribute__(thing, "_mopd_number"))
    return object.__getattribute__(thing, "_mopd_number") if issubclass(cls, Remote) else None


def make_class(
    link: Any, number: int, name: str, bases: tuple[type, ...], own: list[str], *, hashable: bool
) -> RemoteMeta:
    """The class of stand-ins for instances of a class over there; `link` is a Link.

    `bases`: stand-ins of its bases, and built-in types. `own`: the special methods that it defines, and what it
    overrides of a built-in base.
    """
    remote = any(isinstance(base, RemoteMeta) for base in bases)
    native = next((base for base in bases if not isinstance(base, RemoteMeta)), None)
    names: dict[str, Any] = {"_mopd_link": link, "__module__": "program"}
    for special in own:
        names[special] = forwarder(special)
    if native is not None and not remote and "__repr__" not in own:
        names["__repr__"] = native.__repr__
    if "__hash__" not in own and "__eq__" in own:
        names["__hash__"] = object.__hash__ if hashable else None
    made = type.__new__(RemoteMeta, name, bases if remote else (Remote, *bases), names)
    type.__setattr__(made, "_mopd_number", number)
    return made


def forwarder(name: str) -> Any:
    """A method, or for other names an attribute, that is asked of the other side."""
    if name not in FORWARDED:
        return property(lambda self: self._mopd_link.get(self, name))
    method = _special(name)
    method.__name__ = name
    return method


def _special(name: str) -> Callable[..., Any]:
    if name in COMPARISONS:
        return lambda self, other: self._mopd_link.compare(self, name, other)
    if name == "__next__":
        return lambda self: self._mopd_link.next(self)
    if name == "__call__":
        return lambda self, *args, **kwargs: self._mopd_link.call(self, args, kwargs)
    if name in AWAITED:

        async def awaited(self: Any, *args: Any) -> Any:
            return self._mopd_link.finish(self, name, args)

        return awaited
    return lambda self, *args, **kwargs: self._mopd_link.special(self, name, args, kwargs)


def make_instance(cls: Any, number: int, value: Any) -> Any:
    """A stand-in; `value` is what it is worth as its built-in base, where it has one."""
    native = next((base for base in cls.__mro__ if not issubclass(base, Remote) and base is not object), None)
    if native is None or value is None:
        instance = cls.__new__(cls)
    elif issubclass(native, BaseException):
        instance = native.__new__(cls, *value)
        native.__init__(instance, *value)
    else:
        instance = native.__new__(cls, value)
    object.__setattr__(instance, "_mopd_number", number)
    return instance


def _on_class(name: str) -> Callable[..., Any]:
    def forwarded(cls: RemoteMeta, *args: Any) -> Any:
        return cls._mopd_link.special(cls, name, args, {})

    return forwarded


for special_name in CLASS_METHODS:
    type.__setattr__(RemoteMeta, special_name, _on_class(special_name))
