"""The verifier of short answers in words: the same text."""

from __future__ import annotations

from mopd.verifiers.base import Problem, Verdict, verifier
from mopd.verifiers.reply import tagged_answer, without_thinking

FORMAT = "Write the answer alone on the last line, or between <answer> and </answer>."


def some_answer(problem: Problem, name: str) -> str | None:
    """There must be an answer."""
    if problem.answer.strip():
        return None
    return f"answer: empty, and {name} compares with it; give the expected text"


@verifier(check=some_answer)
def exact(text: str, problem: Problem) -> Verdict:
    """What stands in the last <answer>, or else the last line that isn't blank, must be the answer, but for white space
    and upper or lower case."""
    reply = without_thinking(text)
    prediction = tagged_answer(reply)
    if prediction is None:
        prediction = (reply.strip().splitlines() or [""])[-1].strip()
    if not prediction:
        return Verdict(0.0, None, f"The reply has no answer. {FORMAT}")
    if _normal(prediction) == _normal(problem.answer):
        return Verdict(1.0, prediction)
    cut = prediction if len(prediction) <= 200 else f"{prediction[:200]}..."
    return Verdict(0.0, prediction, f"The reply's answer, {cut!r}, is wrong. {FORMAT}")


def _normal(text: str) -> str:
    return " ".join(text.split()).casefold()
