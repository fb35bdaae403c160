"""Summaries: asked for in the last user message, found in their tag, or an excerpt instead."""

from __future__ import annotations

import time

import pytest

from mopd.contexts.summaries import (
    EXCERPT_CHARACTERS,
    SUMMARY_INSTRUCTION,
    generation_instruction,
    summarize,
    with_instruction,
    without_summary,
)
from mopd.errors import InputError
from mopd.generate import prompt_ids
from mopd.settings.condition import ConditionSettings
from tests.mopd.test_condition import TEMPLATE


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("4. <summary>Added 2\nand 2.</summary>", ("Added 2 and 2.", True)),
        ("<summary>first</summary> then <summary>last</summary>", ("last", True)),
        ("<think><summary>thought</summary></think>4 <summary>said</summary>", ("said", True)),
        ("<summary>open <summary>whole</summary>", ("whole", True)),
        ("It is 4.", ("It is 4.", False)),
        ("4 <summary> </summary>", ("4", False)),
        ("4 <summary>never clo", ("4 never clo", False)),
        ("<think>long thoughts</think> It is 4.", ("It is 4.", False)),
        ("<think>cut off", ("", False)),
        ("", ("", False)),
    ],
)
def test_a_summary_is_in_its_tag_or_an_excerpt(reply: str, expected: tuple[str, bool]) -> None:
    assert summarize(reply) == expected


def test_an_excerpt_is_the_end_cut_between_words() -> None:
    text, found = summarize("beginning " + "word " * 99 + "end")
    assert text == "… " + "word " * 47 + "end"
    assert len(text) <= EXCERPT_CHARACTERS + 2
    assert not found
    assert summarize("x" * 999).text == "… " + "x" * EXCERPT_CHARACTERS


def test_only_the_summary_context_asks_for_one() -> None:
    assert generation_instruction(ConditionSettings()) == ""
    summary = ConditionSettings.model_validate({"variant": "summary"})
    assert generation_instruction(summary) == SUMMARY_INSTRUCTION


def test_generation_asks_for_it_within_the_prompts_budget() -> None:
    prompt = {"prompt_id": "p", "messages": [{"role": "user", "content": "QUESTION"}]}
    ids = prompt_ids(prompt, TEMPLATE, 999, SUMMARY_INSTRUCTION)
    assert bytes(ids).decode().startswith(f"user: QUESTION\n\n{SUMMARY_INSTRUCTION}<|end|>")
    with pytest.raises(InputError, match=r"prompt p: .* more than generate\.max_prompt_tokens"):
        prompt_ids(prompt, TEMPLATE, len(ids) - 1, SUMMARY_INSTRUCTION)


def test_the_instruction_ends_the_last_user_message() -> None:
    messages = [{"role": role, "content": role} for role in ("system", "user", "assistant", "user", "assistant")]
    before = [dict(message) for message in messages]
    asked = with_instruction(messages, "DO IT")
    assert asked == [*messages[:3], {"role": "user", "content": "user\n\nDO IT"}, messages[4]]
    assert messages == before
    assert with_instruction(messages, "") == messages


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("It is 4. <summary>Added 2\nand 2.</summary>", "It is 4. "),
        ("<summary>first</summary>4<summary>last</summary>", "4"),
        ("It is 4. <summary>Added 2 and", "It is 4. "),
        ("In <summary> tags. 4. <summary>Added 2.</summary>", "In <summary> tags. 4. "),
        ("<think>In <summary>.</think>4 <summary>Added 2.</summary>", "<think>In <summary>.</think>4 "),
        ("In <summary>.</think>4 <summary>Added 2.</summary>", "In <summary>.</think>4 "),
        ("<think>a <summary>b</summary></think><summary>c</summary>4", "<think>a <summary>b</summary></think>4"),
        ("<think>never <summary>ends</summary>", "<think>never <summary>ends</summary>"),
        ("It is </summary> 4.", "It is </summary> 4."),
        ("It is 4.", "It is 4."),
        ("", ""),
    ],
)
def test_a_reply_without_its_summary_keeps_the_rest_as_it_is(reply: str, expected: str) -> None:
    assert without_summary(reply) == expected


def test_the_cost_of_odd_replies_is_linear() -> None:
    for reply in ("<summary>" * 20_000, "</think>" * 20_000, "<think>" * 20_000 + "4", "<summary>" * 9 + "a" * 99_999):
        began = time.process_time()
        without_summary(reply)
        assert time.process_time() - began < 2
