"""The renderer: order, wording slots, earlier messages, and the budget by whole sections."""

from __future__ import annotations

from typing import Any

import pytest

from mopd.contexts import (
    CLOSING_LINE,
    HEADINGS,
    ROLES,
    WRONG_TURN,
    Section,
    context_digest,
    fit_context,
    make_sections,
    render,
)
from mopd.errors import InputError
from mopd.peers import Peers
from mopd.settings import ConditionSettings

SYSTEM = {"role": "system", "content": "Be brief."}
QUESTION = {"role": "user", "content": "QUESTION"}
SECTIONS = make_sections(Peers(0, 1, 2), ["FIRST", " SECOND\n", "WRONG"])


class WordTokenizer:
    """One token a word, the role first; the assistant's header is one token."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}

    def apply_chat_template(self, messages: list[dict[str, str]], **options: bool) -> list[int]:
        assert options == {"add_generation_prompt": True, "tokenize": True, "return_dict": False}
        words = [word for message in messages for word in [message["role"], *message["content"].split()]]
        return [self.ids.setdefault(word, len(self.ids)) for word in [*words, "assistant:"]]


def settings(**changes: Any) -> ConditionSettings:
    return ConditionSettings(**changes)


def test_sections_come_in_the_order_of_the_roles_and_skip_empty_ones() -> None:
    texts = ["a", "b", "c"]
    assert make_sections(Peers(2, None, 0), texts) == (Section("first_success", 2, "c"), Section("failure", 0, "a"))
    assert make_sections(Peers(), texts) == ()


@pytest.mark.parametrize("rendering", ["sections", "turns"])
def test_without_sections_the_prompt_stays_as_it_is(rendering: str) -> None:
    assert render([SYSTEM, QUESTION], [], settings(rendering=rendering)) == [SYSTEM, QUESTION]


@pytest.mark.parametrize(
    ("position", "order"),
    [
        ("last", ["first_success", "second_success", "failure"]),
        ("first", ["failure", "first_success", "second_success"]),
    ],
)
def test_sections_are_appended_to_the_last_user_message(position: str, order: list[Any]) -> None:
    rendered = render([SYSTEM, QUESTION], SECTIONS, settings(failure_position=position))
    texts = {"first_success": "FIRST", "second_success": "SECOND", "failure": "WRONG"}
    blocks = [f"{HEADINGS[role]}\n{texts[role]}" for role in order]
    assert rendered == [SYSTEM, {"role": "user", "content": "\n\n".join(["QUESTION", *blocks, CLOSING_LINE])}]


def test_turns_failure_first() -> None:
    rendered = render([SYSTEM, QUESTION], SECTIONS, settings(rendering="turns", failure_position="first"))
    assert [(message["role"], message["content"]) for message in rendered] == [
        ("system", "Be brief."),
        ("user", "QUESTION"),
        ("assistant", "WRONG"),
        ("user", f"{WRONG_TURN}\n\nQUESTION"),
        ("assistant", "FIRST"),
        ("user", "QUESTION"),
        ("assistant", "SECOND"),
        ("user", "QUESTION"),
    ]


def test_turns_failure_last_is_marked_by_the_final_user_turn() -> None:
    rendered = render([QUESTION], SECTIONS, settings(rendering="turns"))
    assert [message["content"] for message in rendered[-2:]] == ["WRONG", f"{WRONG_TURN}\n\nQUESTION"]
    roles = [message["role"] for message in rendered]
    assert roles == ["user", "assistant"] * 3 + ["user"]


@pytest.mark.parametrize("rendering", ["sections", "turns"])
def test_earlier_messages_are_kept_and_nothing_is_changed_in_place(rendering: str) -> None:
    messages = [SYSTEM, QUESTION, {"role": "assistant", "content": "EARLIER"}, {"role": "user", "content": "NEXT"}]
    before = [dict(message) for message in messages]
    rendered = render(messages, SECTIONS, settings(rendering=rendering))
    assert rendered[:3] == messages[:3]
    assert rendered[3]["content"].startswith("NEXT")
    assert messages == before


def budget_for(sections: tuple[Section, ...], **changes: Any) -> int:
    return len(fit_context([QUESTION], sections, settings(**changes), WordTokenizer()).token_ids)


@pytest.mark.parametrize("rendering", ["sections", "turns"])
@pytest.mark.parametrize("position", ["first", "last"])
@pytest.mark.parametrize("num_kept", [0, 1, 2, 3])
def test_over_budget_whole_sections_go_last_role_first(rendering: str, position: str, num_kept: int) -> None:
    form = {"rendering": rendering, "failure_position": position}
    exact = budget_for(SECTIONS[:num_kept], **form)
    context = fit_context([QUESTION], SECTIONS, settings(**form, max_context_tokens=exact), WordTokenizer())
    assert context.shown == SECTIONS[:num_kept]
    assert context.dropped == tuple(reversed(ROLES[num_kept:]))
    assert context.messages == render([QUESTION], SECTIONS[:num_kept], settings(**form))
    assert len(context.token_ids) == exact


@pytest.mark.parametrize("num_kept", [1, 2, 3])
def test_one_token_less_costs_one_section(num_kept: int) -> None:
    budget = budget_for(SECTIONS[:num_kept]) - 1
    context = fit_context([QUESTION], SECTIONS, settings(max_context_tokens=budget), WordTokenizer())
    assert context.shown == SECTIONS[: num_kept - 1]


@pytest.mark.parametrize("sections", [(), SECTIONS])
def test_a_question_that_alone_is_over_budget_is_bad_input(sections: tuple[Section, ...]) -> None:
    with pytest.raises(
        InputError, match=r"the question alone takes 3 tokens, over condition\.max_context_tokens \(2\)"
    ):
        fit_context([QUESTION], sections, settings(max_context_tokens=2), WordTokenizer())


def test_digests_are_of_the_tokens() -> None:
    assert context_digest([1, 2]) == "34fb5c825de7ca4aea6e712f19d439c1da0c92c37b423936c5f618545ca4fa1f"
    assert context_digest([1, 2]) == context_digest((1, 2))
    assert len({context_digest(ids) for ids in ([1, 2], [2, 1], [12], [], [1, 2, 0])}) == 5
