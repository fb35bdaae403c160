"""The renderer: order, wording slots, earlier messages, and the budget by whole sections."""

from __future__ import annotations

from typing import Any

import pytest

from mopd.contexts.peers import Role, Slot, Source
from mopd.contexts.render import (
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
from mopd.contexts.tokens import ContextTokens
from mopd.errors import InputError
from mopd.models.chat_template import ChatTemplate
from mopd.settings.condition import ConditionSettings
from tests.mopd.contexts.peer_pools import candidate

SYSTEM = {"role": "system", "content": "Be brief."}
QUESTION = {"role": "user", "content": "QUESTION"}


def section(role: Role, text: str, **more: Any) -> Section:
    return Section(role, Source(1, "p", 0), text, **more)


SECTIONS = (section("first_success", "FIRST"), section("second_success", " SECOND\n"), section("failure", "WRONG"))
SUMMARIES = (section("summary", "ONE", success=True), section("summary", "TWO", success=False))
FEEDBACK = section("feedback", "NOT SO")
EVERYTHING = (SECTIONS[0], *SUMMARIES, *SECTIONS[1:], FEEDBACK)


class WordTokenizer:
    """One token a word, the role first; the assistant's header is one token."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}

    def get_chat_template(self) -> str:
        return "{{ messages }}"

    def apply_chat_template(self, messages: list[dict[str, str]], **options: bool) -> list[int]:
        assert options == {"add_generation_prompt": True, "tokenize": True, "return_dict": False}
        words = [word for message in messages for word in [message["role"], *message["content"].split()]]
        return [self.ids.setdefault(word, len(self.ids)) for word in [*words, "assistant:"]]


def words() -> ChatTemplate:
    return ChatTemplate(WordTokenizer())


def settings(**changes: Any) -> ConditionSettings:
    return ConditionSettings(**changes)


def test_sections_come_in_the_order_of_the_roles() -> None:
    slots = [Slot(role, candidate(0, True)) for role in reversed(ROLES)]
    assert [section.role for section in make_sections(slots)] == list(ROLES)
    assert make_sections([]) == ()


def test_a_section_shows_its_reply_or_the_summary_of_it() -> None:
    told, cut = candidate(0, True), candidate(1, False)
    whole, found, excerpt = make_sections([Slot("first_success", told), Slot("summary", told), Slot("summary", cut)])
    assert (whole.text, whole.fallback, whole.question) == ("p0@1", False, "Q p")
    assert (found.text, found.success, found.fallback) == ("sum of p0@1", True, False)
    assert (excerpt.text, excerpt.success, excerpt.fallback) == ("sum of p1@1", False, True)
    assert excerpt.source == Source(1, "p", 1)


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


@pytest.mark.parametrize("position", ["first", "last"])
def test_summaries_share_a_heading_and_feedback_comes_last(position: str) -> None:
    (rendered,) = render([QUESTION], EVERYTHING, settings(failure_position=position))
    blocks = {one.role: f"{HEADINGS[one.role]}\n{one.text.strip()}" for one in EVERYTHING}
    blocks["summary"] = f"{HEADINGS['summary']}\n- correct: ONE\n- wrong: TWO"
    shown = [blocks[role] for role in ("first_success", "summary", "second_success", "failure", "feedback")]
    shown = [shown[3], *shown[:3], shown[4]] if position == "first" else shown
    assert rendered["content"] == "\n\n".join(["QUESTION", *shown, CLOSING_LINE])


def test_in_turns_summaries_and_feedback_stand_under_the_last_question() -> None:
    rendered = render([SYSTEM, QUESTION], EVERYTHING, settings(rendering="turns"))
    assert [message["content"] for message in rendered[:-1]] == [
        *("Be brief.", "QUESTION", "FIRST", "QUESTION", "SECOND", "QUESTION", "WRONG")
    ]
    summaries = f"{HEADINGS['summary']}\n- correct: ONE\n- wrong: TWO"
    last = [f"{WRONG_TURN}\n\nQUESTION", summaries, f"{HEADINGS['feedback']}\nNOT SO", CLOSING_LINE]
    assert rendered[-1] == {"role": "user", "content": "\n\n".join(last)}


def test_in_turns_a_reply_to_another_question_comes_with_that_question() -> None:
    shown = [section("first_success", "FIRST"), section("unrelated", "OTHER", question="WHAT ELSE")]
    rendered = render([QUESTION], shown, settings(rendering="turns"))
    assert [message["content"] for message in rendered] == ["QUESTION", "FIRST", "WHAT ELSE", "OTHER", "QUESTION"]


def test_a_control_says_nothing_of_outcomes() -> None:
    (rendered,) = render(
        [QUESTION], [section("peer", "A", success=True), section("peer", "B", success=False)], settings()
    )
    assert rendered["content"] == f"QUESTION\n\n{HEADINGS['peer']}\nA\n\n{HEADINGS['peer']}\nB\n\n{CLOSING_LINE}"


def test_turns_failure_last_is_marked_by_the_final_user_turn() -> None:
    rendered = render([QUESTION], SECTIONS, settings(rendering="turns"))
    assert [message["content"] for message in rendered[-2:]] == ["WRONG", f"{WRONG_TURN}\n\nQUESTION"]
    roles = [message["role"] for message in rendered]
    assert roles == ["user", "assistant"] * 3 + ["user"]


@pytest.mark.parametrize("rendering", ["sections", "turns"])
def test_earlier_messages_are_kept_and_nothing_is_changed_in_place(rendering: str) -> None:
    messages = [SYSTEM, QUESTION, {"role": "assistant", "content": "EARLIER"}, {"role": "user", "content": "NEXT"}]
    before = [dict(message) for message in messages]
    for shown in (SECTIONS, (FEEDBACK,), SUMMARIES):
        rendered = render(messages, shown, settings(rendering=rendering))
        assert rendered[:3] == messages[:3]
        assert rendered[3]["content"].startswith("NEXT")
    assert messages == before


def budget_for(sections: tuple[Section, ...], **changes: Any) -> int:
    return len(fit_context([QUESTION], sections, settings(**changes), ContextTokens(words())).token_ids)


@pytest.mark.parametrize("rendering", ["sections", "turns"])
@pytest.mark.parametrize("position", ["first", "last"])
@pytest.mark.parametrize("num_kept", range(len(EVERYTHING) + 1))
def test_over_budget_whole_sections_go_last_role_first(rendering: str, position: str, num_kept: int) -> None:
    form = {"rendering": rendering, "failure_position": position}
    exact = budget_for(EVERYTHING[:num_kept], **form)
    context = fit_context([QUESTION], EVERYTHING, settings(**form, max_context_tokens=exact), ContextTokens(words()))
    assert context.sections == EVERYTHING[:num_kept]
    assert context.dropped == tuple(one.role for one in reversed(EVERYTHING[num_kept:]))
    assert context.messages == render([QUESTION], EVERYTHING[:num_kept], settings(**form))
    assert len(context.token_ids) == exact


@pytest.mark.parametrize("num_kept", range(1, len(EVERYTHING) + 1))
def test_one_token_less_costs_one_section(num_kept: int) -> None:
    budget = budget_for(EVERYTHING[:num_kept]) - 1
    context = fit_context([QUESTION], EVERYTHING, settings(max_context_tokens=budget), ContextTokens(words()))
    assert context.sections == EVERYTHING[: num_kept - 1]


@pytest.mark.parametrize("sections", [(), SECTIONS])
def test_a_question_that_alone_is_over_budget_is_bad_input(sections: tuple[Section, ...]) -> None:
    with pytest.raises(
        InputError, match=r"the question alone takes 3 tokens, over condition\.max_context_tokens \(2\)"
    ):
        fit_context([QUESTION], sections, settings(max_context_tokens=2), ContextTokens(words()))


def test_digests_are_of_the_tokens() -> None:
    assert context_digest([1, 2]) == "34fb5c825de7ca4aea6e712f19d439c1da0c92c37b423936c5f618545ca4fa1f"
    assert context_digest([1, 2]) == context_digest((1, 2))
    assert len({context_digest(ids) for ids in ([1, 2], [2, 1], [12], [], [1, 2, 0])}) == 5
