"""The verifier of multiple-choice answers: one letter in <answer>."""

from __future__ import annotations

import re

from mopd.verifiers.base import Problem, Verdict, verifier
from mopd.verifiers.reply import tagged_answer, without_thinking

FORMAT = "Write nothing but the letter of the chosen option between <answer> and </answer>."

_LETTER = re.compile(r"[A-Z]")


def option_letter(problem: Problem, name: str) -> str | None:
    """The answer must be one capital letter."""
    if _LETTER.fullmatch(problem.answer.strip()):
        return None
    return f'answer: {problem.answer!r} is not one capital letter, as {name} wants; name the right option, such as "B"'


@verifier(check=option_letter)
def mcq(text: str, problem: Problem) -> Verdict:
    """The letter in the last <answer> counts; a reply that is one letter needs no tags."""
    reply = without_thinking(text)
    chosen = tagged_answer(reply)
    if chosen is None:
        chosen = reply.strip()
        if not _LETTER.fullmatch(chosen):
            return Verdict(0.0, None, f"Wrong format: there is no <answer> in the reply. {FORMAT}")
    elif not _LETTER.fullmatch(chosen):
        return Verdict(0.0, None, f"Wrong format: <answer> holds more or less than one capital letter. {FORMAT}")
    if chosen != problem.answer.strip():
        return Verdict(0.0, chosen, f"Option {chosen} is wrong.")
    return Verdict(1.0, chosen)
