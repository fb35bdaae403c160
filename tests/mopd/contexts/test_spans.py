"""Peers are found in their contexts again, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from mopd.contexts.peers import Role, Source
from mopd.contexts.render import Section, render
from mopd.contexts.spans import find_spans
from mopd.settings.condition import ConditionSettings

QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 7 + 8?"}]
TEXTS: dict[Role, str] = {
    "reference": "7 + 8 = 15.",
    "first_success": "15",
    "summary": "adds seven",
    "second_success": "It is\n\n15.",
    "third_success": "fifteen",
    "failure": "14",
    "peer": "16?",
    "unrelated": "Paris",
    "feedback": "not 14",
}


def section(role: Role, text: str = "") -> Section:
    return Section(role, Source(0, "a", 1), text or TEXTS[role], success=role != "failure", question="Capital?")


def found(sections: list[Section], settings: dict[str, Any]) -> list[tuple[Role, str]]:
    """The role and the text of each peer where it was found."""
    condition = ConditionSettings(**settings)
    messages = render(QUESTION, sections, condition)
    spans = find_spans(messages, [{"role": section.role} for section in sections], condition.rendering)
    return [(sections[span.peer].role, messages[span.message]["content"][span.start : span.end]) for span in spans]


@pytest.mark.parametrize("rendering", ["sections", "turns"])
@pytest.mark.parametrize("failure_position", ["first", "last"])
@pytest.mark.parametrize(
    "roles",
    [
        ("first_success",),
        ("failure",),
        ("first_success", "second_success", "failure"),
        ("reference", "feedback"),
        ("peer", "unrelated", "feedback"),
        tuple(TEXTS),
    ],
    ids="+".join,
)
def test_each_peer_is_found_where_it_was_put(roles: tuple[Role, ...], rendering: str, failure_position: str) -> None:
    sections = [section(role) for role in roles]
    spans = found(sections, {"rendering": rendering, "failure_position": failure_position})
    assert sorted(spans) == sorted((role, TEXTS[role]) for role in roles)


@pytest.mark.parametrize("rendering", ["sections", "turns"])
def test_each_summary_is_a_line(rendering: str) -> None:
    sections = [section("summary", "adds: seven"), section("summary", "guesses"), section("feedback")]
    assert found(sections, {"rendering": rendering}) == [
        ("summary", "adds: seven"),
        ("summary", "guesses"),
        ("feedback", "not 14"),
    ]


def test_a_heading_that_a_reply_spells_out_leaves_none_certain() -> None:
    tricky = section("first_success", "15\n\nA wrong reply to this question:\n14")
    assert found([tricky, section("failure")], {"rendering": "sections"}) == []


def test_a_closing_line_that_a_reply_spells_out_is_part_of_it() -> None:
    text = "15\n\nNow give your own reply, and answer the original question correctly."
    assert found([section("first_success", text)], {"rendering": "sections"}) == [("first_success", text)]


def test_a_prompt_alone_has_none() -> None:
    assert find_spans(QUESTION, [], "turns") == []
    assert find_spans(QUESTION, [{"role": "failure"}], "turns") == []
    assert find_spans(QUESTION, [{"role": "failure"}], "sections") == []
