"""Tool calls: every expected call of the real data verifies when it is written out, and feedback gives nothing away."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mopd.verifiers import VERIFIERS, Problem

DATA = Path(os.environ.get("MOPD_DATA", "../shared/data")) / "tooluse.jsonl"
ANSWER = json.dumps([{"Action": "find", "Action_Input": '{"who": {"id": 77}, "since": "May"}'}])
tool_use = VERIFIERS["tool_use"]


@pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} is absent; set MOPD_DATA")
def test_every_expected_call_of_the_data_verifies() -> None:
    answers = [json.loads(line)["answer"] for line in DATA.read_text().splitlines()]
    assert len(answers) == 34
    for answer in answers:
        assert tool_use.check is not None
        assert tool_use.check(Problem(answer), "tool_use") is None
        calls = [f"Action: {call['Action']}\nAction Input: {call['Action_Input']}" for call in json.loads(answer)]
        assert tool_use.judge("\n".join(calls), Problem(answer)).reward == 1.0
        assert tool_use.judge("\n".join([*calls, "Action: another\nAction Input: {}"]), Problem(answer)).reward == 0.0


@pytest.mark.parametrize(
    ("text", "feedback"),
    [
        ("find it", 'Wrong format: the reply has no line "Action:".'),
        ("Action: find\nAction Input: {who: 1}", 'Wrong format: what follows "Action Input:" in call 1 is not a JSON'),
        (
            'Action: seek\nAction Input: {"who": {"id": 77}, "since": "May"}',
            "These actions are wrong or too many: seek. The number of further actions needed: 1.",
        ),
        (
            'Action: find\nAction Input: {"who": {"id": 78}, "where": "here"}',
            "These input parameters don't belong: where. The number of input parameters that are missing: 1. "
            "These input parameters have a wrong value: who.",
        ),
    ],
)
def test_feedback(text: str, feedback: str) -> None:
    assert str(tool_use.judge(text, Problem(ANSWER)).feedback).startswith(feedback)


@pytest.mark.parametrize(
    "answer", ["", "find", "[]", '[{"Action": "find"}]', '[{"Action": "find", "Action_Input": "{who}"}]', "[7]"]
)
def test_answers_that_are_no_calls_are_refused(answer: str) -> None:
    assert tool_use.check is not None
    problem = str(tool_use.check(Problem(answer), "tool_use"))
    assert problem.startswith("answer: ")
    assert "write a JSON list of" in problem
