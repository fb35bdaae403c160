"""Trees of settings: values by dotted name, set, left out, laid flat and compared."""

from __future__ import annotations

from typing import Any

import pytest

from mopd.errors import InputError
from mopd.settings import parse_settings
from mopd.settings.tree import differences, flatten, get_value, read_override, set_value, with_value


def test_values_are_found_by_dotted_name() -> None:
    tree = {"train": {"teacher": {"rate": 0.5}}, "seed": 3}
    assert get_value(tree, "seed") == 3 and get_value(tree, "train.teacher.rate") == 0.5
    assert get_value(tree, "train.nothing") is None and get_value(tree, "seed.of.all") is None


@pytest.mark.parametrize(
    ("tree", "dotted", "value", "expected"),
    [
        ({}, "a.b.c", 1, {"a": {"b": {"c": 1}}}),
        ({"a": {"b": 1, "c": 2}}, "a.b", None, {"a": {"c": 2}}),
        ({"a": {"b": 1}}, "a", None, {}),
        ({"a": 3}, "a.b", 1, {"a": 3}),
    ],
)
def test_a_copy_with_another_value(tree: dict[str, Any], dotted: str, value: Any, expected: dict[str, Any]) -> None:
    before = repr(tree)
    assert with_value(tree, dotted, value) == expected
    assert repr(tree) == before


def test_a_choice_by_its_name_alone_takes_values() -> None:
    tree: dict[str, Any] = {"train": {"teacher": "ema"}}
    set_value(tree, "train.teacher.rate", 0.1)
    assert tree == {"train": {"teacher": {"kind": "ema", "rate": 0.1}}}
    with pytest.raises(InputError, match=r"^--set x: rate is a value, not a group of settings"):
        set_value(tree, "train.teacher.rate.fast", 1, source="--set x")


@pytest.mark.parametrize(
    ("override", "expected"),
    [("a.b=1e-5", 1e-5), ("a.b=", None), ("a.b=[1, 2]", [1, 2]), ("a.b=x=y", "x=y"), ("a.b=true", True)],
)
def test_overrides_are_yaml(override: str, expected: Any) -> None:
    assert read_override(override) == ("a.b", expected)


def test_choices_are_compared_whole() -> None:
    flat = flatten(parse_settings({"train": {"learning_rate": 0.5}}))
    assert (flat["train.learning_rate"], flat["train.teacher"]) == (0.5, {"kind": "ema", "rate": 0.05, "place": "auto"})
    there, here = (parse_settings({"train": {"teacher": {"rate": rate}}, "rounds": 3}) for rate in (0.1, 0.2))
    both = tuple({"kind": "ema", "rate": rate, "place": "auto"} for rate in (0.1, 0.2))
    assert differences(there, here) == {"train.teacher": both} and differences(here, here) == {}


def test_arguments_of_the_chat_template_are_compared_whole() -> None:
    given, fewer, none = (
        parse_settings({"model": {"chat_template_kwargs": arguments}}) for arguments in ({"a": 1, "b": 2}, {"a": 1}, {})
    )
    name = "model.chat_template_kwargs"
    assert differences(given, fewer) == {name: ({"a": 1, "b": 2}, {"a": 1})}
    assert differences(fewer, none) == {name: ({"a": 1}, {})}
    assert len({given, fewer, none}) == 3


@pytest.mark.parametrize(
    ("text", "value"), [("1e-5", 1e-5), ("9", 9), ('"9"', "9"), ("'1e-5'", "1e-5"), ('"nan"', "nan"), ("word", "word")]
)
def test_what_has_quotes_is_text(text: str, value: object) -> None:
    assert read_override(f"generate.stop={text}") == ("generate.stop", value)
