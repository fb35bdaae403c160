"""Feedback of the exact and the numeric verifier; rewards are in verifier_cases.json."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopd.verifiers import VERIFIERS, Problem


@pytest.mark.parametrize(
    ("name", "text", "prediction", "feedback"),
    [
        ("exact", "", None, "The reply has no answer."),
        ("exact", "I say\nBoston", "Boston", "The reply's answer, 'Boston', is wrong."),
        ("numeric", "eighteen", None, "The reply names no number as its answer."),
        ("numeric", "It is 17.50.", "17.5", "The reply's answer, 17.5, is wrong."),
    ],
)
def test_feedback(name: str, text: str, prediction: str | None, feedback: str) -> None:
    verdict = VERIFIERS[name].judge(text, Problem("18"))
    assert (verdict.reward, verdict.prediction) == (0.0, prediction)
    assert str(verdict.feedback).startswith(feedback)


@given(number=st.integers(-(10**20), 10**20))
def test_a_whole_number_is_right_and_its_neighbour_wrong(number: int) -> None:
    for form in ("The answer is {}.", "#### {:,}", "\\boxed{{{}}}"):
        assert VERIFIERS["numeric"].judge(form.format(number), Problem(str(number))).reward == 1.0
        assert VERIFIERS["numeric"].judge(form.format(number + 1), Problem(str(number))).reward == 0.0


def test_an_answer_that_is_no_number_is_the_tasks_fault() -> None:
    with pytest.raises(ValueError, match="mend the task's answer"):
        VERIFIERS["numeric"].judge("40", Problem("forty"))
