"""The verifier of answers that are one number, compared by value."""

from __future__ import annotations

import re
from fractions import Fraction

from mopd.verifiers.base import Problem, Verdict, verifier
from mopd.verifiers.number_text import MAX_LENGTH, find_numbers
from mopd.verifiers.numbers import one_number
from mopd.verifiers.reply import boxed_answer, without_thinking

TOLERANCE = Fraction(1, 10_000)
"""Relative; for an expected answer that is no whole number."""


@verifier(check=one_number)
def numeric(text: str, problem: Problem) -> Verdict:
    """The number in the last \\boxed{}, or else after the last ####, or else the last of the reply must equal the
    answer: a whole number exactly, another within a relative tolerance of 1e-4. Currency and percent signs and units
    don't count. A box and what follows #### name one number, or one behind their last "="."""
    expected = find_numbers(problem.answer)
    if len(expected) != 1:
        raise ValueError(f"the expected answer {problem.answer!r} is not one number; mend the task's answer")
    number = _answer(without_thinking(text))
    if number is None:
        return Verdict(0.0, None, "The reply names no number as its answer. End it with the answer in digits.")
    value, wanted = Fraction(number), Fraction(expected[0])
    near = 0 if wanted.denominator == 1 else TOLERANCE * abs(wanted)
    prediction = _write(value)
    if abs(value - wanted) <= near:
        return Verdict(1.0, prediction)
    return Verdict(0.0, prediction, f"The reply's answer, {prediction}, is wrong.")


def _answer(reply: str) -> str | None:
    """The number that a reply gives as its answer; None where there is none, or it is too long to be one."""
    part = boxed_answer(reply)
    _, mark, after = reply.rpartition("####")
    if part is None and mark:
        part = after.strip().partition("\n")[0]
    numbers = find_numbers(reply) if part is None else _named(part)
    return numbers[-1] if numbers and len(numbers[-1]) <= MAX_LENGTH else None


def _named(part: str) -> list[str]:
    """What a part that holds nothing but the answer names; nothing where it names several different numbers."""
    numbers = find_numbers(re.sub(r"^\s*-\s+", "-", re.split(r"=|≈|\\approx", part)[-1]))
    return numbers if len(set(numbers)) == 1 else []


def _write(value: Fraction) -> str:
    """Decimal where it is short, such as 18 or 0.5."""
    short = f"{float(value):.10g}" if abs(value) < 10**15 else str(value)
    return short if Fraction(short) == value else str(value)
