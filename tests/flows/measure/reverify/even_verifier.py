"""A verifier that disagrees with any other: what counts is whether the reply names an even number."""

from __future__ import annotations

from mopd.verifiers import Problem, Verdict
from mopd.verifiers.numbers import find_numbers


def judge(text: str, problem: Problem) -> Verdict:
    """1 for a reply whose last number is even, none where it names no number."""
    numbers = find_numbers(text)
    if not numbers:
        return Verdict(None, error="no number")
    return Verdict(float(int(numbers[-1].rstrip(".")) % 2 == 0), numbers[-1])
