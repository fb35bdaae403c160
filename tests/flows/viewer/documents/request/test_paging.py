"""What a page asks of a table is taken as it is meant, and nothing else of it reaches SQL."""

from __future__ import annotations

import pytest

from flows.viewer.documents.request.paging import MOST_ROWS, PageRequest, one_of
from mopd.errors import InputError


def test_it_is_read_from_an_address() -> None:
    asked = {
        "start": "25",
        "length": "50",
        "search": "Red  FISH",
        "order": '[["flips","desc"]]',
        "filters": '{"kind":"mixed"}',
    }
    request = PageRequest.of({**asked, "token": "secret"})
    assert request == PageRequest(25, 50, "Red  FISH", (("flips", "desc"),), {"kind": "mixed"})
    assert request.words == {"word0": "red", "word1": "fish"}
    assert PageRequest.of({}) == PageRequest()


def test_a_page_is_bounded() -> None:
    assert PageRequest.of({"length": "1000000", "start": "3"}) == PageRequest(3, MOST_ROWS)


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"start": "x"}, "start=x: give a whole number from 0 to 2147483647"),
        ({"start": "-3"}, "start=-3: give a whole number from 0 to 2147483647"),
        ({"length": "1" * 100}, f"length={'1' * 80}…: give a whole number from 0 to 2147483647"),
        ({"order": "flips"}, 'order=flips: give JSON like [["prompt_id", "desc"]]'),
        ({"order": '["flips"]'}, 'order=["flips"]: give JSON like [["prompt_id", "desc"]]'),
        ({"filters": "[1]"}, 'filters=[1]: give JSON like {"prompt_id": "a"}'),
        ({"filters": "[" * 99_999}, f'filters={"[" * 80}…: give JSON like {{"prompt_id": "a"}}'),
    ],
)
def test_what_is_no_request_is_refused_by_name(asked: dict[str, str], line: str) -> None:
    with pytest.raises(InputError) as error:
        PageRequest.of(asked)
    assert str(error.value) == line


def test_only_columns_that_there_are_become_sql() -> None:
    request = PageRequest(order=(("a", "desc"),), filters={"b": 1})
    assert request.order_sql(["a"], "id") == "ORDER BY a desc NULLS LAST, id"
    assert request.filter_sql({"b": int}) == ("b IS NOT DISTINCT FROM $is_b", {"is_b": 1})
    with pytest.raises(InputError, match="rows can't be put in order by a desc; columns: b, c"):
        request.order_sql(["b", "c"], "id")
    with pytest.raises(InputError, match="rows can't be put in order by a down"):
        PageRequest(order=(("a", "down"),)).order_sql(["a"], "id")
    with pytest.raises(InputError, match="rows can't be filtered by b; columns: a"):
        request.filter_sql({"a": int})


@pytest.mark.parametrize(("kind", "value", "wanted"), [(bool, "yes", "true or false"), (str, [1], "text")])
def test_a_filter_has_its_column_s_kind(kind: type, value: object, wanted: str) -> None:
    assert PageRequest(filters={"a": None}).filter_sql({"a": kind})[1] == {"is_a": None}
    with pytest.raises(InputError, match=rf"^filters=.*: a is {wanted}, or null$"):
        PageRequest(filters={"a": value}).filter_sql({"a": kind})


def test_a_value_of_several_is_bound() -> None:
    assert one_of("id", ["a", "'"]) == ("id IN ($id_0, $id_1)", {"id_0": "a", "id_1": "'"})
    assert one_of("id", []) == ("false", {})
