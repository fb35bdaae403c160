"""What a verifier is, and the registry they are found in."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Verdict(NamedTuple):
    """What a verifier says of one reply."""

    reward: float
    """Finite; 1.0 is a full success."""
    prediction: str | None = None
    """The answer found in the reply; None when there is none."""
    feedback: str | None = None
    """One line on what is wrong, never the expected answer; None when nothing is."""


Verifier = Callable[[str, str], Verdict]
"""(reply text, expected answer) -> Verdict."""

VERIFIERS: dict[str, Verifier] = {}


def verifier(function: Verifier) -> Verifier:
    """Registers a verifier under its function's name."""
    name = function.__name__
    assert name not in VERIFIERS, f"two verifiers are named {name}"
    VERIFIERS[name] = function
    return function
