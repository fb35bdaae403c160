"""Values beside a value: what equals it may equal some of them, and what equals all of them equals everything.

Runs inside the sandbox: the standard library alone.
"""

from __future__ import annotations

from typing import Any


def decoys_of(value: Any) -> list[Any]:
    """Some other values of the same type, and an object of no use."""
    return [*_others(value), object()]


def _others(value: Any) -> list[Any]:
    kind = type(value)
    if kind is bool:
        return [not value]
    if kind is int:
        return [value + 1, value - 7, 3 * value + 11]
    if kind is float or kind is complex:
        return [value + 1.0, 2.0 * value + 3.5]
    if kind is str:
        return [value + "'", "x" + value, value[1:] + "?"]
    if kind is bytes:
        return [value + b"'", b"x" + value]
    if kind is list or kind is tuple:
        return [kind([*value, None]), kind([None, *value])]
    if kind is dict:
        return [{**value, "": None}, {None: value}]
    if kind is set or kind is frozenset:
        return [kind({*value, None, ""})]
    return []
