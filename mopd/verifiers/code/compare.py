"""Whether what a program gave is what was expected: values of functions, and printed output.

Values are plain (None, bool, numbers, text, lists, tuples, dicts): they were read from JSON outside the program, so no
`__eq__` of the program's own takes part. A bool is no number: True for 1 is wrong.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

FLOAT_TOLERANCE = 1e-9
"""How far two floats may be apart, relative to the larger one: room for another order of summation, no more."""
TINY = 1e-12
"""Floats below this are zero."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")


def same_value(got: Any, expected: Any) -> bool:
    """Whether two plain values are equal.

    Tuples equal lists, for JSON knows no tuples. An int equals a float of exactly its value; two floats may differ by
    FLOAT_TOLERANCE. NaN equals nothing. Values nested to any depth are compared.
    """
    pairs = [(got, expected)]
    while pairs:  # no recursion: the depth is the program's choice
        inner = _compare(*pairs.pop())
        if inner is None:
            return False
        pairs.extend(inner)
    return True


def _compare(got: Any, expected: Any) -> list[tuple[Any, Any]] | None:
    """The pairs that remain to be compared; None when these two differ."""
    if isinstance(got, (list, tuple)) and isinstance(expected, (list, tuple)):
        return list(zip(got, expected)) if len(got) == len(expected) else None
    if isinstance(got, dict) and isinstance(expected, dict):
        # the keys' types too: True and 1 are one key to Python
        if got.keys() != expected.keys() or {(type(k), k) for k in got} != {(type(k), k) for k in expected}:
            return None
        return [(got[key], expected[key]) for key in got]
    return [] if _same_scalar(got, expected) else None


def _same_scalar(got: Any, expected: Any) -> bool:
    if type(got) is float and type(expected) is float:
        return math.isclose(got, expected, rel_tol=FLOAT_TOLERANCE, abs_tol=TINY)
    if {type(got), type(expected)} == {int, float}:
        return bool(got == expected)
    return type(got) is type(expected) and bool(got == expected)


def same_output(got: str, expected: str) -> bool:
    """Whether two printed texts agree, line by line.

    White space at the end of a line and empty lines around the text don't count. Lines that differ as text agree
    when their words do, one by one, numbers by value ("2.50" is "2.5", "1e3" is "1000"), exactly.
    """
    got_lines, expected_lines = _lines(got), _lines(expected)
    return len(got_lines) == len(expected_lines) and all(map(_same_line, got_lines, expected_lines))


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.rstrip().split("\n")]
    first = next((number for number, line in enumerate(lines) if line), 0)
    return lines[first:]


def _same_line(got: str, expected: str) -> bool:
    if got == expected:
        return True
    got_words, expected_words = got.split(), expected.split()
    return len(got_words) == len(expected_words) and all(map(_same_word, got_words, expected_words))


def _same_word(got: str, expected: str) -> bool:
    if got == expected:
        return True
    return bool(_NUMBER.fullmatch(got) and _NUMBER.fullmatch(expected)) and Decimal(got) == Decimal(expected)
