"""The renderer: a prompt and its peers as the messages a teacher is shown. Training, analysis and display share it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import numpy as np

from mopd.contexts.peers import Role, Slot, Source
from mopd.contexts.tokens import ContextTokens
from mopd.errors import InputError
from mopd.models.chat_template import ChatTemplate, TemplateRefusal, is_shown
from mopd.settings.condition import ConditionSettings
from mopd.settings.context_choice import shows_replies
from mopd.tasks.task import Message

Row = dict[str, Any]

ROLES: tuple[Role, ...] = (
    *("reference", "first_success", "summary", "second_success", "third_success", "failure"),
    *("peer", "unrelated", "feedback"),
)
"""The order of sections (arXiv 2605.12652), and backwards the order in which they are dropped over budget: the
verifier's feedback is a section like the others, and the first to go."""

HEADINGS: dict[Role, str] = {
    "reference": "A reference solution of this question:",
    "first_success": "A correct reply to this question:",
    "summary": "Summaries of other replies to this question:",
    "second_success": "Another correct reply to this question:",
    "third_success": "Another correct reply to this question:",
    "failure": "A wrong reply to this question:",
    "peer": "A reply to this question:",
    "unrelated": "A correct reply to another question:",
    "feedback": "Feedback on an earlier reply of yours to this question:",
}
CLOSING_LINE = "Now give your own reply, and answer the original question correctly."
WRONG_TURN = "That answer is wrong. The question was:"
PEERS_TRIED: tuple[Role, ...] = ("first_success", "failure")
NOTES: tuple[Role, ...] = ("summary", "feedback")
"""What is no reply, and stands in the last user message where replies are turns."""


@dataclass(frozen=True)
class Section:
    """What one rollout contributes, as it is shown."""

    role: Role
    source: Source
    text: str
    success: bool | None = None
    """The outcome of its rollout; None for feedback."""
    question: str = ""
    """What its rollout replied to."""
    fallback: bool = False
    """Whether it is an excerpt in place of a summary."""
    top_up: bool = False
    """Whether it stands in for a success that the group doesn't have."""
    cut: bool = False
    """Whether it ends early, to match a number of tokens."""


@dataclass(frozen=True)
class Context:
    """What the teacher is shown before the rollout's own tokens."""

    messages: list[Message]
    token_ids: list[int]
    sections: tuple[Section, ...]
    """In the order of the roles."""
    dropped: tuple[Role, ...]
    """Sections that the budget had no room for, in the order they were dropped."""


def make_sections(slots: Sequence[Slot]) -> tuple[Section, ...]:
    """The sections of a rollout, in the order of `ROLES`."""
    return tuple(sorted(map(_section, slots), key=_rank))


def _section(slot: Slot) -> Section:
    peer = slot.candidate
    short = slot.role == "summary"
    return Section(
        slot.role,
        peer.source,
        peer.summary.text if short else peer.text,
        success=peer.success,
        question=peer.question,
        fallback=short and not peer.summary.tagged,
        top_up=slot.top_up,
    )


def _rank(section: Section) -> int:
    return ROLES.index(section.role)


def render(messages: list[Message], sections: Sequence[Section], settings: ConditionSettings) -> list[Message]:
    """The messages of a prompt with its peers; without any section, the prompt as it is.

    `sections` appends them and a closing line to the last user message; `turns` puts each reply before it as an
    exchange of its own, and appends summaries and feedback. Messages around the last user message are kept.
    """
    if not sections:
        return list(messages)
    last_user = max(index for index, message in enumerate(messages) if message["role"] == "user")
    question = messages[last_user]["content"]
    ordered = _display_order(sections, settings.failure_position)
    peers_and_question = RENDERINGS[settings.rendering](question, ordered)
    return [*messages[:last_user], *peers_and_question, *messages[last_user + 1 :]]


def shown_texts(sections: Iterable[Section]) -> list[str]:
    """What of the sections stands in the messages as it is."""
    return [section.text.strip() for section in sections]


def fit_context(
    messages: list[Message], sections: Sequence[Section], settings: ConditionSettings, tokens: ContextTokens
) -> Context:
    """The context with as many sections as `max_context_tokens` allow, whole ones dropped, last role first.

    `sections` come in the order of `ROLES`. The question, the closing line and the assistant header are never cut:
    a question that is over the budget by itself is an InputError.
    """
    kept = tuple(sections)
    dropped: list[Role] = []
    while True:
        rendered = render(messages, kept, settings)
        token_ids = tokens.ids(rendered, shown_texts(kept))
        if len(token_ids) <= settings.max_context_tokens:
            return Context(rendered, token_ids, kept, tuple(dropped))
        if not kept:
            raise InputError(
                f"the question alone takes {len(token_ids)} tokens, over condition.max_context_tokens "
                f"({settings.max_context_tokens}); shorten it or raise the setting"
            )
        dropped.append(kept[-1].role)
        kept = kept[:-1]


def check_renderings(prompts: Iterable[Row], settings: ConditionSettings, template: ChatTemplate) -> None:
    """`check_rendering` for each kind of prompt there is. Raises InputError, which names one."""
    if not shows_replies(settings.variant):
        settings = settings.model_copy(update={"rendering": "sections"})  # it makes no difference
    for prompt in {tuple(message["role"] for message in prompt["messages"]): prompt for prompt in prompts}.values():
        try:
            check_rendering(prompt["messages"], settings, template)
        except InputError as error:
            raise InputError(f"prompt {prompt['prompt_id']}: {error}") from error


def check_rendering(messages: list[Message], settings: ConditionSettings, template: ChatTemplate) -> None:
    """Peers beside these messages must be something that the chat template takes, and shows.

    Raises InputError, which says whether another rendering would do.
    """
    problem = _rendering_problem(messages, settings, template)
    if problem is None:
        return
    other = next(name for name in RENDERINGS if name != settings.rendering)
    other_problem = _rendering_problem(messages, settings.model_copy(update={"rendering": other}), template)
    fix = f"{other} would do" if other_problem is None else f"nor would {other} do: take another model.chat_template"
    raise InputError(f"condition.rendering: {settings.rendering}: {problem}; {fix}")


def _rendering_problem(messages: list[Message], settings: ConditionSettings, template: ChatTemplate) -> str | None:
    """What stands against showing peers so; None for nothing."""
    peers = [
        Section(role, Source(0, "", 0), f"A reply that is a {role}.", success=role != "failure") for role in PEERS_TRIED
    ]
    try:
        rendered = template.rendered(render(messages, peers, settings))
    except TemplateRefusal as error:
        return error.problem
    left_out = [peer.role for peer in peers if not is_shown(peer.text, rendered)]
    return f"the model's chat template leaves out earlier replies ({left_out[0]})" if left_out else None


def context_digest(token_ids: Sequence[int]) -> str:
    """sha256 of the token ids as little-endian int32: rollouts with equal digests share a forward pass."""
    return hashlib.sha256(np.asarray(token_ids, dtype="<i4").tobytes()).hexdigest()


def _display_order(sections: Sequence[Section], failure_position: Literal["first", "last"]) -> list[Section]:
    ordered = sorted(sections, key=_rank)
    if failure_position == "first":
        ordered.sort(key=lambda section: section.role != "failure")
    return ordered


def _append_sections(question: str, sections: list[Section]) -> list[Message]:
    return [{"role": "user", "content": "\n\n".join([question, *_blocks(sections), CLOSING_LINE])}]


def _blocks(sections: Iterable[Section]) -> list[str]:
    """A paragraph a section, under its heading; summaries share one."""
    blocks = []
    for role, group in groupby(sections, key=lambda section: section.role):
        if role == "summary":
            lines = [f"- {'correct' if section.success else 'wrong'}: {section.text}" for section in group]
            blocks.append("\n".join([HEADINGS[role], *lines]))
        else:
            blocks += [f"{HEADINGS[role]}\n{section.text.strip()}" for section in group]
    return blocks


def _earlier_turns(question: str, sections: list[Section]) -> list[Message]:
    """question, reply, question, ... question; the user turn after a failed reply says that it is wrong.

    A reply to another question comes with that question. Notes stand under the last question.
    """
    turns: list[Message] = []
    next_request = question
    for section in (peer for peer in sections if peer.role not in NOTES):
        request = section.question if section.role == "unrelated" else next_request
        turns += [{"role": "user", "content": request}, {"role": "assistant", "content": section.text.strip()}]
        next_request = f"{WRONG_TURN}\n\n{question}" if section.role == "failure" else question
    notes = _blocks(section for section in sections if section.role in NOTES)
    last = "\n\n".join([next_request, *notes, CLOSING_LINE]) if notes else next_request
    return [*turns, {"role": "user", "content": last}]


RENDERINGS: dict[str, Callable[[str, list[Section]], list[Message]]] = {
    "sections": _append_sections,
    "turns": _earlier_turns,
}
