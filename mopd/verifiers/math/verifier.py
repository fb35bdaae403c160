"""The verifier of mathematical answers: the last \\boxed{}, equal to the expected answer whatever its form."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from mopd.verifiers.base import Problem, Verdict, verifier
from mopd.verifiers.guard import Guarded, UndecidedError
from mopd.verifiers.math.text import MAX_LENGTH, decide, plain
from mopd.verifiers.reply import boxed_answer, without_thinking

Finding = Literal["right", "wrong", "unreadable", "undecided"]

FORMAT = "Give the final answer once, at the end, as \\boxed{...}."

CALLS_A_FORK = 64
"""How many formulas a fork compares. Each costs a third of what it does in a fork of its own, which touches all memory
and fills sympy's caches anew. With more of them a fork would go on growing (by 9 MB with 64), for little."""

algebra = Guarded("mopd.verifiers.math.equality:equal", calls_a_fork=CALLS_A_FORK)
"""Started when the first answer needs it."""


def math_answer(problem: Problem, name: str) -> str | None:
    """There must be an answer, and its braces must close."""
    if not problem.answer.strip():
        return f'answer: empty, and {name} compares with it; give the final answer, such as "\\\\frac{{1}}{{2}}"'
    if boxed_answer(f"\\boxed{{{problem.answer}}}") != problem.answer.strip():
        return f"answer: the braces of {problem.answer!r} don't close; mend the LaTeX"
    return None


@verifier(check=math_answer, packages=("math-verify", "latex2sympy2-extended", "sympy"), guarded=True)
def math(text: str, problem: Problem) -> Verdict:
    """The last \\boxed{} (or \\fbox{}) outside <think> must equal the answer, by math-verify.

    An answer that can't be compared within the time limit isn't shown to be right, and gets 0.
    """
    prediction = boxed_answer(without_thinking(text))
    if not prediction:
        return Verdict(0.0, None, f"{_what_is_missing(text, prediction)} {FORMAT}")
    finding = compare(prediction, problem.answer)
    if finding == "right":
        return Verdict(1.0, prediction)
    cut = prediction if len(prediction) <= 200 else f"{prediction[:200]}..."
    return Verdict(0.0, prediction, _FEEDBACK[finding].format(cut))


@lru_cache(maxsize=1 << 14)
def compare(prediction: str, answer: str) -> Finding:
    """Whether two answers are equal. Raises RuntimeError when the helper that compares formulas can't start."""
    if len(prediction) > MAX_LENGTH:
        return "right" if prediction == answer.strip() else "wrong"
    predicted, wanted = plain(prediction), plain(answer)
    equal: bool | tuple[str, str] | None = decide(predicted, wanted)
    if isinstance(equal, tuple):
        try:
            equal = algebra(*equal)
        except UndecidedError:
            return "undecided"
        if equal is None:
            return "unreadable"
    return "right" if equal else "wrong"


_FEEDBACK: dict[Finding, str] = {
    "wrong": "The final answer \\boxed{{{}}} is wrong.",
    "unreadable": "The final answer \\boxed{{{}}} can't be read as mathematics; write it in plain LaTeX.",
    "undecided": "The final answer \\boxed{{{}}} is too complicated to compare; simplify it to a value.",
}


def _what_is_missing(text: str, prediction: str | None) -> str:
    if prediction == "":
        return "The last \\boxed{} is empty."
    if "<think>" in text and not without_thinking(text).strip():
        return "The reply ends in its thoughts, without an answer."
    if "\\boxed" in without_thinking(text):
        return "The braces of the last \\boxed{} are not closed."
    return "There is no \\boxed{} in the reply."
