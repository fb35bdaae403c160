"""Verifiers for replies that should name a number. Which texts are numbers is told by `number_text`."""

from __future__ import annotations

from mopd.verifiers.base import Problem, Verdict, verifier
from mopd.verifiers.number_text import find_numbers
from mopd.verifiers.reply import without_thinking


def one_number(problem: Problem, name: str) -> str | None:
    """The answer must name one number."""
    if len(find_numbers(problem.answer)) == 1:
        return None
    return f'answer: {problem.answer!r} is not one number, as {name} wants; write it in digits, such as "42"'


@verifier(check=one_number)
def last_number(text: str, problem: Problem) -> Verdict:
    """The last number of the reply counts."""
    numbers = find_numbers(without_thinking(text))
    return _judge(numbers[-1] if numbers else None, problem.answer, "last number")


@verifier(check=one_number)
def first_number(text: str, problem: Problem) -> Verdict:
    """The first number of the reply counts."""
    numbers = find_numbers(without_thinking(text))
    return _judge(numbers[0] if numbers else None, problem.answer, "first number")


@verifier(check=one_number)
def only_number(text: str, problem: Problem) -> Verdict:
    """The reply must name exactly one number (as often as it likes), and that number counts."""
    numbers = set(find_numbers(without_thinking(text)))
    if len(numbers) > 1:
        return Verdict(0.0, None, f"The reply names {len(numbers)} different numbers instead of one.")
    return _judge(next(iter(numbers), None), problem.answer, "number")


def _judge(prediction: str | None, answer: str, description: str) -> Verdict:
    expected = find_numbers(answer)
    if len(expected) != 1:
        raise ValueError(f"the expected answer {answer!r} is not one number; mend the task's answer")
    if prediction is None:
        return Verdict(0.0, None, "The reply names no number.")
    if prediction != expected[0]:
        return Verdict(0.0, prediction, f"The reply's {description}, {prediction}, is not the answer.")
    return Verdict(1.0, prediction)
