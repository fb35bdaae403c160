"""Values keep their types on the wire, and what is no value is refused."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, defaultdict, namedtuple
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mopd.sandbox.guest.wire import (
    MAX_DEPTH,
    MAX_INT_BITS,
    Opaque,
    TooLarge,
    WireError,
    decode,
    dumps,
    encode,
    is_exact,
    loads,
)

hashable = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**200), max_value=2**200)
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters(), max_size=4)
    | st.binary(max_size=4)
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=-1000, max_value=1000)
    | st.fractions(),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=8,
)
values = st.recursive(
    hashable,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.sets(hashable, max_size=3)
        | st.dictionaries(hashable, inner, max_size=3)
    ),
    max_leaves=16,
)


def travelled(value: Any) -> Any:
    return decode(loads(dumps(encode(value))))


def shape(value: Any) -> Any:
    """Types and values of everything in a value: True is not 1 here, and 0.0 is not -0.0."""
    if isinstance(value, list | tuple):
        return type(value), [shape(item) for item in value]
    if isinstance(value, set | frozenset):
        return type(value), sorted(map(repr, map(shape, value)))
    if isinstance(value, dict):
        return type(value), [(shape(key), shape(item)) for key, item in value.items()]
    return type(value), repr(value)


@settings(max_examples=50)
@given(values)
def test_values_come_back_as_themselves(value: Any) -> None:
    assert shape(travelled(value)) == shape(value)


class AlwaysEqual(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (bytearray(b"ab"), b"ab"),
        (defaultdict(list, {1: [2]}), {1: [2]}),
        (OrderedDict(a=1), {"a": 1}),
        (Counter("aa"), {"a": 2}),
        (Decimal("-0.10"), Decimal("-0.10")),
        (AlwaysEqual(1), 1),
        (namedtuple("Pair", "a b")(1, 2), (1, 2)),
        ("\ud800", "\ud800"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_arrives(value: Any, arrives: Any) -> None:
    assert shape(travelled(value)) == shape(arrives)


def test_integers_of_any_length() -> None:
    assert travelled((1 << MAX_INT_BITS) - 1) == (1 << MAX_INT_BITS) - 1


def test_what_says_less_than_all_is_known() -> None:
    plain = [1, (2.5, {"a": {3}}), 1 << 100]
    assert is_exact(encode(plain))
    assert not is_exact(encode([plain, AlwaysEqual(1)]))
    assert not is_exact(encode({"a": object()}))


def test_floats_that_are_not_finite() -> None:
    nan, infinite, negative = travelled([math.nan, math.inf, -math.inf])
    assert math.isnan(nan) and (infinite, negative) == (math.inf, -math.inf)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        object(),
        range(3),
        1 << MAX_INT_BITS,
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("1e999999"),
        Fraction(1, 1 << MAX_INT_BITS),
        math.sin,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_plain_value_equals_nothing(value: Any) -> None:
    arrived = travelled(value)
    assert isinstance(arrived, Opaque)
    assert (arrived != arrived and arrived != value and value != arrived) or isinstance(value, AlwaysEqual)
    assert type(travelled(arrived)) is Opaque


def test_repr_that_exits() -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise SystemExit

    assert repr(travelled(Hostile())) == "<Hostile>"


@pytest.mark.parametrize(("depth", "fits"), [(MAX_DEPTH - 1, True), (MAX_DEPTH, False), (20_000, False)])
def test_depth(depth: int, fits: bool) -> None:
    value = nested(depth)
    arrived, levels = travelled(value), 0
    while isinstance(arrived, list) and arrived:
        arrived, levels = arrived[0], levels + 1
    assert (levels, arrived) == (depth, []) if fits else isinstance(arrived, Opaque)


def test_a_list_in_itself_ends() -> None:
    assert isinstance(travelled(endless()), list)


def test_a_value_that_doubles_is_too_large() -> None:
    value: list[Any] = []
    for _ in range(100):
        value = [value, value]
    with pytest.raises(TooLarge):
        encode(value, 1000)


FORGED_LINES = {
    "open brackets": b"[" * 50_000,
    "long number": b"9" * 60_000,
    "pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "empty": b"",
    "two values": b"1 2",
}


@pytest.mark.parametrize("line", FORGED_LINES.values(), ids=FORGED_LINES.keys())
def test_lines_that_are_no_json(line: bytes) -> None:
    with pytest.raises(WireError):
        loads(line)


@pytest.mark.parametrize(
    "data",
    [
        1 << 53,
        1e400,
        {},
        {"t": [], "s": []},
        {"x": 1},
        {"t": 1},
        {"s": [[]]},
        {"d": [[1]]},
        {"d": [[[], 1]]},
        {"d": {"a": 1}},
        {"i": "12"},
        {"i": "0x" + "f" * MAX_INT_BITS},
        {"i": 1},
        {"n": "1.0"},
        {"b": "zz"},
        {"b": 1},
        {"c": [1.0]},
        {"c": [1, 2]},
        {"D": "1_0"},
        {"D": "1E999999999"},
        {"D": "sNaN"},
        {"F": ["0x1", "0x0"]},
        {"F": "0x1"},
        {"F": ["0x1"]},
        {"o": 1},
        nested(MAX_DEPTH + 2),
    ],
    ids=lambda data: str(data)[:30],
)
def test_data_that_is_no_value(data: Any) -> None:
    with pytest.raises(WireError):
        decode(data)
