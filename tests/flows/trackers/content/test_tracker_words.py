"""What a model wrote is shown as it is, whatever it wrote."""

from __future__ import annotations

import pytest

from flows.trackers.content.words import completion_text, fenced, settings_text

ROW = {
    "prompt_id": "p",
    "sample": 2,
    "success": False,
    "reward": 0.25,
    "feedback": None,
    "error": None,
    "prompt": "Why?",
    "context": "[user]\nWhy?",
    "reply": "```\n# <b>Because</b>",
}


@pytest.mark.parametrize(
    "text", ["# a\n\n- b", "```\n<script>alert(1)</script>\n```", "a\u2028# b", "\r\n---\r\n", "    a"]
)
def test_no_line_of_a_text_is_outside_its_block(text: str) -> None:
    assert all(line.startswith("    ") for line in fenced(text).splitlines())


def test_a_completion_has_its_verdict_and_what_there_is_of_texts() -> None:
    parts = completion_text(ROW).split("\n\n")
    head = "**p, sample 2**: failure, reward 0.25"
    texts = ["prompt", "    Why?", "context", "    [user]\n    Why?", "reply", "    ```\n    # <b>Because</b>"]
    assert parts == [head, *texts]


def test_without_a_verdict_it_says_so() -> None:
    assert completion_text({**ROW, "success": None, "reward": None}).startswith("**p, sample 2**: no verdict\n")


def test_a_setting_is_a_line() -> None:
    assert settings_text({"a.b": 1, "c": ["ä", None]}) == '    a.b: 1\n    c: ["ä", null]'
