"""Python values as JSON that keeps their types, for both ends of the wire.

The standard library alone is imported here: this text also runs inside the sandbox. What arrives is checked on decoding
and never trusted: no pickle, no eval, and no value whose comparison could run code or take long.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, NoReturn

from mopd.sandbox.guest.arrays import is_array, is_number

MAX_DEPTH = 128
MAX_INT_BITS = 1 << 22  # the output limit is reached before
MAX_EXPONENT = 10_000
MAX_OPAQUE = 200
PLAIN_INT = 1 << 53
INTEGER = re.compile(r"-?0x[0-9a-f]+")
DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?(E[+-][0-9]{1,5})?")
NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
LISTS: dict[type, str] = {tuple: "t", set: "s", frozenset: "f"}
DICTS = (dict, defaultdict, OrderedDict, Counter)
IMMUTABLE: tuple[type, ...] = (int, float, complex, str, bytes, tuple, frozenset)
"""Built-in types whose subclasses are worth a value of theirs: an IntEnum, a namedtuple."""
BASES = (*IMMUTABLE, list, dict, set)
EXACT = frozenset({bool, *BASES, Decimal, Fraction})


class WireError(ValueError):
    """What came over the wire is no value."""


class TooLarge(ValueError):
    """A value with more parts than the output limit has bytes."""


def _refuse(what: str) -> NoReturn:
    raise WireError(what)


ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
DECODER = json.JSONDecoder(parse_constant=_refuse)


class Opaque:
    """A value that stays where it was made. It equals nothing, not even itself."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<{self.text}>"


def dumps(data: Any) -> bytes:
    """One line of ASCII, its end included."""
    return ENCODER.encode(data).encode() + b"\n"


def loads(line: bytes) -> Any:
    """The JSON of one line. Raises WireError for anything else, however deep or long its numbers."""
    try:
        return DECODER.decode(line.decode("ascii"))
    except (ValueError, RecursionError, MemoryError) as error:
        raise WireError(f"not JSON: {error}") from None


def encode(value: Any, max_parts: int | None = None) -> Any:
    """A value as JSON data. An instance of a subclass arrives as the built-in value that it is worth, a bytearray as
    bytes, dicts of `collections` as dict; anything else as `Opaque`. Raises TooLarge where there are more than
    `max_parts` values in it."""
    return _Encoder(max_parts).encode(value, 0)


def decode(data: Any) -> Any:
    """The value that `encode` was given. Raises WireError for what `encode` never writes."""
    try:
        return _decode(data, 0)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise WireError(f"no value: {error}") from None


class _Encoder:
    def __init__(self, max_parts: int | None) -> None:
        self.left = max_parts

    def encode(self, value: Any, depth: int) -> Any:
        self._count()
        kind = type(value)
        if value is None or kind is bool or kind is str:
            return value
        if kind is list or kind in LISTS or kind in DICTS:
            return self._container(value, kind, depth) if depth < MAX_DEPTH else _opaque("nested too deep", value)
        scalar = encode_scalar(value, kind)
        return scalar if scalar is not None else self._other(value, kind, depth)

    def _other(self, value: Any, kind: type, depth: int) -> Any:
        """An instance of a subclass, as what it is worth as the built-in type; else text alone."""
        if kind is Opaque:
            return {"o": value.text}
        if is_number(value) or is_array(value):
            return {"u": [kind.__name__, self.encode(value.tolist(), depth + 1)]}
        if kind in EXACT or not issubclass(kind, BASES) or depth >= MAX_DEPTH:
            return _opaque("Decimal" if kind is Decimal else "", value)
        return {"u": [kind.__name__[:MAX_OPAQUE], self.encode(as_base(value), depth + 1)]}

    def _count(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise TooLarge("a value with too many parts")

    def _container(self, value: Any, kind: type, depth: int) -> Any:
        if kind in DICTS:
            pairs = dict.items(value)
            return {"d": [[self.encode(key, depth + 1), self.encode(item, depth + 1)] for key, item in pairs]}
        items = [self.encode(item, depth + 1) for item in value]
        return items if kind is list else {LISTS[kind]: items}


def as_base(value: Any) -> Any:
    """What an instance of a subclass is worth as the built-in type, whatever its class overrides."""
    if isinstance(value, int):
        return int.__add__(value, 0)
    if isinstance(value, float):
        return float.__pos__(value)
    if isinstance(value, complex):
        return complex.__pos__(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return bytes.__getitem__(value, slice(None)) + b""
    if isinstance(value, dict):
        return dict(dict.items(value))
    base: Any = next(base for base in (tuple, list, set, frozenset) if isinstance(value, base))
    return base(base.__iter__(value))


def is_exact(data: Any) -> bool:
    """Whether encoded data says all of a value: nothing in it was of a subclass, or stayed where it was made."""
    waiting = [data]
    while waiting:
        content = waiting.pop()
        if isinstance(content, dict):
            if content.keys() & {"o", "u"}:
                return False
            waiting.extend(content.values())
        elif isinstance(content, list):
            waiting.extend(content)
    return True


def encode_scalar(value: Any, kind: type) -> Any:
    """A number or bytes as JSON data, a bytearray as bytes; None for anything else, and for what is too large."""
    if kind is int:
        if -PLAIN_INT < value < PLAIN_INT:
            return value
        return {"i": hex(value)} if value.bit_length() <= MAX_INT_BITS else None
    if kind is float:
        return _scalar_float(value)
    if kind is bytes or kind is bytearray:
        return {"b": value.hex()}
    if kind is complex:
        return {"c": [_scalar_float(value.real), _scalar_float(value.imag)]}
    if kind is Decimal and value.is_finite() and abs(value.adjusted()) < MAX_EXPONENT:
        text = str(value)
        return {"D": text} if DECIMAL.fullmatch(text) else None
    if kind is Fraction and max(value.numerator.bit_length(), value.denominator.bit_length()) <= MAX_INT_BITS:
        return {"F": [hex(value.numerator), hex(value.denominator)]}
    return None


def _scalar_float(value: float) -> Any:
    return value if math.isfinite(value) else {"n": repr(value)}


def _opaque(reason: str, value: Any) -> Any:
    try:
        text = repr(value)[:MAX_OPAQUE] if not reason else ""
    except BaseException:  # the repr of a program's own class: whatever it raises, the value has no text
        text = ""
    return {"o": " ".join(part for part in (reason, type(value).__name__[:MAX_OPAQUE], text) if part)}


def _decode(data: Any, depth: int) -> Any:
    if data is None or isinstance(data, bool | str):
        return data
    if isinstance(data, int):
        return data if -PLAIN_INT < data < PLAIN_INT else _refuse("a long number")
    if isinstance(data, float):
        return data if math.isfinite(data) else _refuse("an infinite number")
    if depth > MAX_DEPTH:
        _refuse("nested too deep")
    if isinstance(data, list):
        return [_decode(item, depth + 1) for item in data]
    ((tag, content),) = data.items()
    return DECODERS[tag](content, depth) if tag in DECODERS else _refuse("an unknown type")


def _list(content: Any, depth: int) -> list[Any]:
    return [_decode(item, depth + 1) for item in content] if isinstance(content, list) else _refuse("no list")


def _dict(content: Any, depth: int) -> dict[Any, Any]:
    if not isinstance(content, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in content):
        _refuse("no pairs")
    return {_decode(key, depth + 1): _decode(item, depth + 1) for key, item in content}


def _text(content: Any) -> str:
    return content if isinstance(content, str) else _refuse("no text")


def _integer(content: Any, depth: int) -> int:
    if not INTEGER.fullmatch(_text(content)) or len(content) > MAX_INT_BITS // 4 + 4:
        _refuse("no integer")
    return int(content, 16)


def _float(content: Any, depth: int) -> float:
    return NOT_FINITE[content] if _text(content) in NOT_FINITE else _refuse("no float")


def _complex(content: Any, depth: int) -> complex:
    real, imaginary = _list(content, depth)
    if not (type(real) is type(imaginary) is float):
        _refuse("no complex number")
    return complex(real, imaginary)


def _decimal(content: Any, depth: int) -> Decimal:
    return Decimal(content) if DECIMAL.fullmatch(_text(content)) else _refuse("no decimal")


def _fraction(content: Any, depth: int) -> Fraction:
    if not isinstance(content, list):
        _refuse("no fraction")
    numerator, denominator = (_integer(part, depth) for part in content)
    return Fraction(numerator, denominator)


DECODERS: dict[str, Callable[[Any, int], Any]] = {
    "t": lambda content, depth: tuple(_list(content, depth)),
    "s": lambda content, depth: set(_list(content, depth)),
    "f": lambda content, depth: frozenset(_list(content, depth)),
    "d": _dict,
    "i": _integer,
    "n": _float,
    "b": lambda content, depth: bytes.fromhex(_text(content)),
    "c": _complex,
    "D": _decimal,
    "F": _fraction,
    "u": lambda content, depth: _decode(content[1], depth + 1),
    "o": lambda content, depth: Opaque(_text(content)[: 3 * MAX_OPAQUE]),
}
