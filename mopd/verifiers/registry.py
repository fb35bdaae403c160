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

AnswerCheck = Callable[[str, str], str | None]
"""(expected answer, verifier's name) -> what is wrong with the answer and the fix, in one line; None for a good one."""

VERIFIERS: dict[str, Verifier] = {}

ANSWER_CHECKS: dict[str, AnswerCheck] = {}
"""By verifier, for those that can't read every answer."""


def verifier(function: Verifier) -> Verifier:
    """Registers a verifier under its function's name."""
    name = function.__name__
    assert name not in VERIFIERS, f"two verifiers are named {name}"
    VERIFIERS[name] = function
    return function


def checks_answer(check: AnswerCheck) -> Callable[[Verifier], Verifier]:
    """Tasks of the decorated verifier have their answers checked when they are loaded."""

    def register(function: Verifier) -> Verifier:
        ANSWER_CHECKS[function.__name__] = check
        return function

    return register
