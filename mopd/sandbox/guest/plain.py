"""Values that cross between two interpreters as copies: their types are of the standard library, and they don't change.

Runs inside the sandbox: the standard library alone.
"""

from __future__ import annotations

import builtins
import datetime
import importlib
import sys
import types
from collections.abc import Callable
from typing import Any

from mopd.sandbox.guest.arrays import is_number, new_number, number_parts
from mopd.sandbox.guest.wire import DECODERS, MAX_DEPTH, WireError, encode_scalar

BUILT_IN: dict[str, Any] = {name: value for name, value in vars(builtins).items() if isinstance(value, type)}
"""Built-in types, exceptions included: the same on both sides."""
CONSTANTS: dict[str, Any] = {"NotImplemented": NotImplemented, "Ellipsis": Ellipsis}
KNOWN_TYPES: dict[str, type] = {
    kind.__name__: kind for kind in vars(types).values() if isinstance(kind, type) and kind.__module__ == "builtins"
}
"""Types without a name among the built-in ones: of functions, generators, ..."""
SCALAR_TAGS = frozenset("inbcDF")
Encode = Callable[[Any], Any]


def _of_date(value: Any) -> tuple[Any, ...]:
    return value.year, value.month, value.day


def _of_time(value: Any) -> tuple[Any, ...]:
    return value.hour, value.minute, value.second, value.microsecond, value.tzinfo


def _of_zone(value: Any) -> tuple[Any, ...]:
    name = value.tzname(None)
    offset = value.utcoffset(None)
    return (offset,) if name == datetime.timezone(offset).tzname(None) else (offset, name)


PARTS: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    range: lambda value: (value.start, value.stop, value.step),
    slice: lambda value: (value.start, value.stop, value.step),
    datetime.date: _of_date,
    datetime.time: _of_time,
    datetime.datetime: lambda value: (*_of_date(value), *_of_time(value)),
    datetime.timedelta: lambda value: (value.days, value.seconds, value.microseconds),
    datetime.timezone: _of_zone,
    types.MappingProxyType: lambda value: (dict(value),),
    type({}.keys()): lambda value: (dict.fromkeys(value),),
    type({}.values()): lambda value: (dict(enumerate(value)),),
    type({}.items()): lambda value: (dict(value),),
}
"""What a value is made of."""
MAKERS: dict[str, Callable[..., Any]] = {
    **{kind.__name__: kind for kind in PARTS},
    "numpy": new_number,
    "dict_keys": dict.keys,
    "dict_values": dict.values,
    "dict_items": dict.items,
}


def encode_plain(value: Any, encode: Encode) -> Any:
    """A plain value as JSON data, its parts by `encode`; None for anything else, and for None."""
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    scalar = encode_scalar(value, kind)
    if scalar is not None:
        return scalar
    if is_number(value):
        return {"v": ["numpy", [encode(part) for part in number_parts(value)]]}
    if kind in PARTS and _copies(value):
        return {"v": [kind.__name__, [encode(part) for part in PARTS[kind](value)]]}
    if issubclass(kind, BaseException) and BUILT_IN.get(kind.__name__) is kind:
        return {"e": [kind.__name__, [encode(argument) for argument in value.args]]}
    for name, known in CONSTANTS.items():
        if value is known:
            return {"g": name}
    if issubclass(kind, type) and BUILT_IN.get(type.__getattribute__(value, "__name__")) is value:
        return {"g": type.__getattribute__(value, "__name__")}
    return None


def _copies(value: Any) -> bool:
    """Whether a copy says all: a time zone may be of a class of its own."""
    return type(getattr(value, "tzinfo", None)) in (type(None), datetime.timezone)


def decode_plain(data: Any, decode: Encode) -> Any:
    """The value that `encode_plain` was given. Raises WireError, or what making it raises."""
    if not isinstance(data, dict):
        if data is None or isinstance(data, bool | str | int | float):
            return data
        raise WireError("no value")
    ((tag, content),) = data.items()
    if tag in SCALAR_TAGS:
        return DECODERS[tag](content, MAX_DEPTH - 1)
    name, parts = content
    values = [decode(part) for part in parts]
    if tag == "v":
        return MAKERS[name](*values)
    if tag == "e":
        kind = BUILT_IN[name]
        if not issubclass(kind, BaseException):
            raise WireError("no exception")
        return _exception(kind, values)
    raise WireError("an unknown type")


def _exception(kind: Any, args: list[Any]) -> BaseException:
    try:
        made: BaseException = kind(*args)
    except TypeError:  # one that wants other arguments than it keeps
        made = kind.__new__(kind)
        made.args = tuple(args)
    return made


def name_of(value: Any) -> str | None:
    """The name under which the standard library has a function or class; None where it has not."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not (isinstance(module, str) and isinstance(name, str) and module.partition(".")[0] in sys.stdlib_module_names):
        return None
    return f"{module}:{name}" if _found(module, name) is value else None


def _found(module: str, name: str) -> Any:
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def imported(name: str) -> Any:
    """The thing of that name. Raises WireError where there is none."""
    module, colon, path = name.partition(":")
    if not colon:
        return CONSTANTS[name] if name in CONSTANTS else BUILT_IN[name]
    importlib.import_module(module)
    return _found(module, path)


def constant(name: str) -> Any:
    """The built-in type or constant of that name, and nothing else."""
    return CONSTANTS[name] if name in CONSTANTS else BUILT_IN[name]


def known_class(module: str, name: str) -> type | None:
    """The class that the standard library has under this name, where it is loaded."""
    if module == "builtins":
        return BUILT_IN.get(name) or KNOWN_TYPES.get(name)
    found = _found(module, name) if module.partition(".")[0] in sys.stdlib_module_names else None
    return found if isinstance(found, type) else None
