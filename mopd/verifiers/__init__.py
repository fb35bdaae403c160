"""Verifiers: functions that judge one reply against what is expected of it."""

from mopd.verifiers import choice, exact, numbers, numeric, tools
from mopd.verifiers.base import (
    VERIFIERS,
    Judge,
    Problem,
    Verdict,
    Verifier,
    find_verifier,
    load_function,
    verifier,
)
from mopd.verifiers.code import verifier as code
from mopd.verifiers.math import verifier as mathematics
from mopd.verifiers.puzzles import verifier as puzzles

__all__ = [
    "VERIFIERS",
    "Judge",
    "Problem",
    "Verdict",
    "Verifier",
    "choice",
    "code",
    "exact",
    "find_verifier",
    "load_function",
    "mathematics",
    "numbers",
    "numeric",
    "puzzles",
    "tools",
    "verifier",
]
