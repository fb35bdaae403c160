"""Tests that can't be used, and how that is said."""

from __future__ import annotations

from typing import Any


class BadTests(ValueError):
    """Tests that can't be used: "tests.FIELD: what is wrong; fix"."""


def brief(value: Any) -> str:
    """A value as an error message shows it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
