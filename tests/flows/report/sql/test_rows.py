"""Every column and every value of a result arrives, in each format."""

from __future__ import annotations

import json
import math
from typing import Literal

import pytest

from flows.report.sql.rows import format_result


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("table", "a  a_1  a_1_1\n-  ---  -----\n1    2      3"),
        ("csv", "a,a_1,a_1_1\n1,2,3"),
        ("json", '[\n {\n  "a": 1,\n  "a_1": 2,\n  "a_1_1": 3\n }\n]'),
    ],
)
def test_columns_of_the_same_name_are_kept(form: Literal["table", "csv", "json"], text: str) -> None:
    assert format_result(["a", "a", "a_1"], [(1, 2, 3)], form) == text


def test_json_has_no_numbers_that_json_lacks() -> None:
    row = (math.nan, [1.0, math.inf], {"x": -math.inf}, 0.5, None)
    text = format_result(["a", "b", "c", "d", "e"], [row], "json")
    assert json.loads(text, parse_constant=pytest.fail) == [
        {"a": None, "b": [1.0, None], "c": {"x": None}, "d": 0.5, "e": None}
    ]


def test_a_table_without_rows_names_every_column() -> None:
    assert format_result(["a", "a"], [], "table") == "a  a_1\n(no rows)"
