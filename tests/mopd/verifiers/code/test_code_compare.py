from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopd.verifiers.code.compare import same_output, same_value

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)

DEEP: Any = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [
        (True, 1, False),
        (1, True, False),
        (0, False, False),
        ([True], [1], False),
        ({"a": True}, {"a": 1}, False),
        ({True: 2}, {1: 2}, False),
        ((1, (2,)), [1, [2]], True),
        ([1, 2], [1, 2, 3], False),
        (2.0, 2, True),
        (2, 2.0, True),
        (2.0000000001, 2, False),
        (0.1 + 0.2, 0.3, True),
        (0.30001, 0.3, False),
        (1e-13, 0.0, True),
        (math.inf, math.inf, True),
        (math.nan, math.nan, False),
        ([math.nan], [math.nan], False),
        (10**400, 1e300, False),
        (2**53 + 1, float(2**53), False),
        ("1", 1, False),
        (None, False, False),
        ({"a": [1]}, {"a": [1]}, True),
        ({1: 2}, {"1": 2}, False),
        ({1, 2}, [1, 2], False),
        (DEEP, DEEP, True),
        (DEEP, [], False),
    ],
    ids=lambda value: repr(value)[:20] if value is not DEEP else "deep",
)
def test_values(got: Any, expected: Any, same: bool) -> None:
    assert same_value(got, expected) == same_value(expected, got) == same


@given(VALUES, VALUES)
def test_values_equal_themselves_and_order_does_not_matter(one: Any, other: Any) -> None:
    assert same_value(one, one)
    assert same_value(one, other) == same_value(other, one)


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [
        ("3\n", "3", True),
        ("3  \n4\t\n\n", "3\n4", True),
        ("3\r\n4\r\n", "3\n4\n", True),
        ("", "\n", True),
        ("5", "\n5\n", True),
        ("\n \n5\n\n7", "5\n\n7\n", True),
        ("\n\n", "", True),
        ("5\n\n7", "5\n7", False),
        ("\n7", "5\n7", False),
        ("", "0", False),
        ("2.50 x", "2.5 x", True),
        ("1e3 -0", "1000 0", True),
        ("0.1000000000000000001", "0.1", False),
        ("1 2", "1  2", True),
        ("12", "1 2", False),
        ("1\n2", "1 2", False),
        ("1\n\n2", "1\n2", False),
        ("YES", "yes", False),
        ("1_0", "10", False),
        ("٣", "3", False),
        ("1e99999999999", "1e99999999998", False),
        ("Infinity", "inf", False),
        ("9" * 200_000, "0" + "9" * 200_000, True),
        ("9" * 200_000, "9" * 199_999 + "8", False),
        ("1" * 60_000 + "x", "1" * 60_000 + "y", False),
    ],
)
def test_output(got: str, expected: str, same: bool) -> None:
    assert same_output(got, expected) == same_output(expected, got) == same


@given(st.text(st.sampled_from("01.e+- \n\tx")), st.text(st.sampled_from("01.e+- \n\tx")))
def test_output_equals_itself_and_order_does_not_matter(one: str, other: str) -> None:
    assert same_output(one, one)
    assert same_output(one, other) == same_output(other, one)
