"""A registry: what it holds by which name, and what it says of a name that it lacks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mopd.registry import Registry


def test_functions_and_other_entries_by_name() -> None:
    greetings: Registry[Callable[[], str]] = Registry("greeting")

    @greetings.register()
    def morning() -> str:
        return "Good morning"

    @greetings.register("late-evening")
    def night() -> str:
        return "Good night"

    greetings.add("noon", str)
    assert list(greetings) == ["morning", "late-evening", "noon"]
    assert greetings["morning"] is morning and greetings["late-evening"]() == "Good night"
    assert greetings.unknown("dawn") == "'dawn' is unknown; choose one of late-evening, morning, noon"
    with pytest.raises(AssertionError, match="there is a greeting named noon already"):
        greetings.add("noon", str)
