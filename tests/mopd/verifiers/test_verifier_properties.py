"""What holds for every verifier that needs no sandbox: golden rewards, our own cases, and whatever text a model writes.

A grading bug becomes a row of verifier_cases.json first.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mopd.verifiers import VERIFIERS, Problem, Verdict

GOLDEN = Path(os.environ.get("MOPD_GOLDEN", "../shared/golden")) / "verifiers.jsonl"
CASES = json.loads((Path(__file__).parent / "verifier_cases.json").read_text())
CALLS = '[{"Action": "find987654", "Action_Input": "{\\"q987654\\": {\\"v\\": \\"987654\\"}}"}]'
ANSWERS = {"math": "987654", "mcq": "Q", "tool_use": CALLS, "numeric": "987654", "exact": "987654"}
CHARACTERS = st.characters(exclude_characters="0123456789Q")
LATEX = r"\boxed{ \fbox{ } { \{ \\ \frac \sqrt \left( \right] ^{ _ $ \text{ \infty \begin{matrix} & = , % {{{{"
TAGS = "<think> </think> <answer> </answer> Action: Action␣Input: #### x + - / ! | 1 2 9 9^{9^{9}} [[[["
ODD = ["\n", "\0", " ", '{"a": ', "9" * 10_000, "(" * 200]
PIECES = st.sampled_from([*LATEX.split(), *TAGS.split(), *ODD])
SOUP = st.lists(PIECES | st.text(CHARACTERS, max_size=3), max_size=12).map("".join)


def judge(name: str, text: str, answer: str) -> Verdict:
    return VERIFIERS[name].judge(text.replace("␣", " "), Problem(answer))


def golden_rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in GOLDEN.read_text().splitlines()] if GOLDEN.exists() else []


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"{GOLDEN} is absent; set MOPD_GOLDEN")
@pytest.mark.parametrize(("name", "count"), [("math", 87), ("mcq", 40), ("tool_use", 60)])
def test_rewards_agree_with_golden(name: str, count: int) -> None:
    rows = [row for row in golden_rows() if row["verifier"] == name]
    assert len(rows) == count
    wrong = [row for row in rows if judge(name, row["response"], row["ground_truth"]).reward != row["reward"]]
    assert wrong == []


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case['verifier']}:{case['text'][:30]!r}={case['answer'][:20]}"
)
def test_case(case: dict[str, Any]) -> None:
    problem = Problem(case["answer"])
    check = VERIFIERS[case["verifier"]].check
    assert check is None or check(problem, case["verifier"]) is None
    verdict = VERIFIERS[case["verifier"]].judge(case["text"], problem)
    assert verdict.reward == case["reward"], verdict
    assert (verdict.feedback is None) == (verdict.reward == 1.0)


@pytest.mark.parametrize("name", ANSWERS)
@settings(max_examples=60)
@given(text=SOUP)
@example("\\boxed{9^{9^{9}}}")
@example("\\boxed{" * 10_000)
@example("\\boxed{" + "{" * 900 + "}" * 900 + "}")
@example("\\boxed{" + "(" * 400 + ")" * 400 + "}")
@example("\\boxed{\\frac{1}{0}}")
@example("Action: a\nAction Input: " + "[" * 100_000)
@example("\ud800 \\boxed{\ud800}")
def test_no_text_breaks_a_verifier_or_is_rewarded_without_the_answer(name: str, text: str) -> None:
    verdict = judge(name, text, ANSWERS[name])
    assert verdict.reward == 0.0
    assert verdict.error is None
    assert verdict.feedback
    assert "987654" not in verdict.feedback


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("answer", ["", " ", '[{"Action": 1}]', "\\frac{1"])
def test_an_answer_that_cannot_be_read_is_refused_with_the_fix(name: str, answer: str) -> None:
    check = VERIFIERS[name].check
    assert check is not None
    problem = check(Problem(answer), name)
    if name == "exact" and answer.strip():
        assert problem is None
    elif (name, answer) in {("math", '[{"Action": 1}]'), ("numeric", '[{"Action": 1}]'), ("numeric", "\\frac{1")}:
        assert problem is None  # readable, if odd
    else:
        assert problem is not None
        assert problem.startswith("answer: ")
