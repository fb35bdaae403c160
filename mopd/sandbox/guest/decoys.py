"""Values beside a value: what equals it may equal some of them, and what equals all of them equals anything.

Runs inside the sandbox: the standard library alone.
"""

from __future__ import annotations

from collections.abc import Callable
from os import urandom
from typing import Any


def agrees_to_anything(says: Callable[[Any], bool], value: Any) -> bool:
    """Whether whoever says yes to a value says yes to the others beside it too, or no to it when asked again.

    It is asked in an order that it can't know, and of the value itself once more.
    """
    others = decoys_of(value) or [object()]
    asked = [(urandom(8), other, other is value) for other in [*others, value]]
    answers = [(says(other), is_it) for _, other, is_it in sorted(asked, key=lambda entry: entry[0])]
    return not all(yes for yes, is_it in answers if is_it) or all(yes for yes, _ in answers)


def decoys_of(value: Any) -> list[Any]:
    """Some other values of the same type; none for a type of which we know none."""
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
