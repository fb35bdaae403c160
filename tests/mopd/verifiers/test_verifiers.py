"""Verifier cases are data: a grading bug becomes a row of number_cases.json first."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopd.verifiers import VERIFIERS, Problem, Verdict
from mopd.verifiers.number_text import find_numbers

CASES = json.loads((Path(__file__).parent / "number_cases.json").read_text())
NUMBERS = ("first_number", "last_number", "only_number")


def judge(name: str, text: str, answer: str) -> Verdict:
    return VERIFIERS[name].judge(text, Problem(answer))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['verifier']}:{case['text'][:20]!r}={case['answer']}")
def test_case(case: dict[str, Any]) -> None:
    verdict = judge(case["verifier"], case["text"], case["answer"])
    assert (verdict.reward, verdict.prediction) == (case["reward"], case["prediction"])
    assert (verdict.feedback is None) == (verdict.reward == 1.0)


@pytest.mark.parametrize("name", NUMBERS)
@given(number=st.integers())
def test_the_bare_answer_is_right_and_its_neighbour_wrong(name: str, number: int) -> None:
    assert judge(name, f"The answer is {number}.", str(number)).reward == 1.0
    assert judge(name, f"The answer is {number + 1}.", str(number)).reward == 0.0


@pytest.mark.parametrize("name", NUMBERS)
@given(text=st.text(alphabet=st.sampled_from("0123456789,.-− +=ab\n"), max_size=30))
def test_no_reply_breaks_a_verifier_and_feedback_never_tells_the_answer(name: str, text: str) -> None:
    verdict = judge(name, text, "-987654")
    assert verdict.reward in (0.0, 1.0)
    if verdict.reward == 0.0:
        assert verdict.feedback is not None
        assert "987654" not in verdict.feedback or "987654" in text


def test_ten_thousand_digits_are_a_number() -> None:
    assert find_numbers("9" * 10_000) == ["9" * 10_000]


@pytest.mark.parametrize("name", [*NUMBERS, "numeric"])
@pytest.mark.parametrize("answer", ["", "forty", "27 or 40", "3-5", "10:30", "3.11.2", "2^n", "nan", "1, 200"])
def test_an_answer_that_is_not_one_number_is_refused_at_load(name: str, answer: str) -> None:
    check = VERIFIERS[name].check
    assert check is not None
    assert "is not one number" in str(check(Problem(answer), name))


@pytest.mark.parametrize("text", ["1/", "2 1/2 ", "1 111 ", "^", "2^{", "\\frac{", "\\sqrt{", "1.1", "= ", " ", "9"])
def test_long_texts_are_read_in_no_time(text: str) -> None:
    start = time.process_time()
    find_numbers(text * (20_000 // len(text)))
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize("answer", ["", "forty", "27 or 40"])
def test_an_answer_that_is_not_one_number_is_the_tasks_fault(answer: str) -> None:
    with pytest.raises(ValueError, match="mend the task's answer"):
        judge("last_number", "40", answer)
