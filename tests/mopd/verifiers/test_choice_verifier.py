"""Feedback of the multiple-choice verifier, and the answers that it takes; rewards are in verifier_cases.json."""

from __future__ import annotations

import pytest

from mopd.verifiers import VERIFIERS, Problem

mcq = VERIFIERS["mcq"]


@pytest.mark.parametrize(
    ("text", "prediction", "feedback"),
    [
        ("I take C.", None, "Wrong format: there is no <answer> in the reply."),
        ("<answer>C: because</answer>", None, "Wrong format: <answer> holds more or less than one capital letter."),
        ("<answer>C</answer>", "C", "Option C is wrong."),
    ],
)
def test_feedback(text: str, prediction: str | None, feedback: str) -> None:
    verdict = mcq.judge(text, Problem("B"))
    assert (verdict.reward, verdict.prediction) == (0.0, prediction)
    assert str(verdict.feedback).startswith(feedback)


@pytest.mark.parametrize("answer", ["", "b", "AB", "B: because"])
def test_other_answers_are_refused(answer: str) -> None:
    assert mcq.check is not None
    assert str(mcq.check(Problem(answer), "mcq")).startswith(f"answer: {answer!r} is not one capital letter")
