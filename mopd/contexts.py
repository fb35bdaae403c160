"""The renderer: a prompt and its peers as the messages a teacher is shown. Training, analysis and display share it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mopd.errors import InputError
from mopd.peers import Peers
from mopd.settings import ConditionSettings
from mopd.task import Message

Role = Literal["first_success", "second_success", "failure"]

ROLES: tuple[Role, ...] = ("first_success", "second_success", "failure")
"""The order of sections (arXiv 2605.12652), and backwards the order in which they are dropped over budget."""

HEADINGS: dict[Role, str] = {
    "first_success": "A correct reply to this question:",
    "second_success": "Another correct reply to this question:",
    "failure": "A wrong reply to this question:",
}
CLOSING_LINE = "Now give your own reply, and answer the original question correctly."
WRONG_TURN = "That answer is wrong. The question was:"


@dataclass(frozen=True)
class Section:
    """One peer as it is shown."""

    role: Role
    sample: int
    text: str


@dataclass(frozen=True)
class Context:
    """What the teacher is shown before the rollout's own tokens."""

    messages: list[Message]
    token_ids: list[int]
    shown: tuple[Section, ...]
    """In the order of the roles."""
    dropped: tuple[Role, ...]
    """Sections that the budget had no room for, in the order they were dropped."""


def make_sections(peers: Peers, texts: Sequence[str]) -> tuple[Section, ...]:
    """The sections of a rollout in the order of `ROLES`; `texts` [G] are the replies of its group by sample index."""
    samples = {role: getattr(peers, role) for role in ROLES}
    return tuple(Section(role, sample, texts[sample]) for role, sample in samples.items() if sample is not None)


def render(messages: list[Message], sections: Sequence[Section], settings: ConditionSettings) -> list[Message]:
    """The messages of a prompt with its peers; without any section, the prompt as it is.

    `sections` appends them and a closing line to the last user message; `turns` puts each peer before it as an
    exchange of its own. Messages around the last user message are kept.
    """
    if not sections:
        return list(messages)
    last_user = max(index for index, message in enumerate(messages) if message["role"] == "user")
    question = messages[last_user]["content"]
    shown = _display_order(sections, settings.failure_position)
    peers_and_question = RENDERINGS[settings.rendering](question, shown)
    return [*messages[:last_user], *peers_and_question, *messages[last_user + 1 :]]


def fit_context(
    messages: list[Message], sections: Sequence[Section], settings: ConditionSettings, tokenizer: Any
) -> Context:
    """The context with as many sections as `max_context_tokens` allow, whole ones dropped, last role first.

    `sections` come in the order of `ROLES`. The question, the closing line and the assistant header are never cut:
    a question that is over the budget by itself is an InputError.
    """
    shown = tuple(sections)
    dropped: list[Role] = []
    while True:
        rendered = render(messages, shown, settings)
        token_ids = template_tokens(tokenizer, rendered)
        if len(token_ids) <= settings.max_context_tokens:
            return Context(rendered, token_ids, shown, tuple(dropped))
        if not shown:
            raise InputError(
                f"the question alone takes {len(token_ids)} tokens, over condition.max_context_tokens "
                f"({settings.max_context_tokens}); shorten it or raise the setting"
            )
        dropped.append(shown[-1].role)
        shown = shown[:-1]


def template_tokens(tokenizer: Any, messages: list[Message]) -> list[int]:
    """Token ids of the messages under the chat template, up to and with the header of the assistant's reply."""
    token_ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
    return [int(token_id) for token_id in token_ids]


def context_digest(token_ids: Sequence[int]) -> str:
    """sha256 of the token ids as little-endian int32: rollouts with equal digests share a forward pass."""
    return hashlib.sha256(np.asarray(token_ids, dtype="<i4").tobytes()).hexdigest()


def _display_order(sections: Sequence[Section], failure_position: Literal["first", "last"]) -> list[Section]:
    ordered = sorted(sections, key=lambda section: ROLES.index(section.role))
    if failure_position == "first":
        ordered.sort(key=lambda section: section.role != "failure")
    return ordered


def _append_sections(question: str, sections: list[Section]) -> list[Message]:
    blocks = [f"{HEADINGS[section.role]}\n{section.text.strip()}" for section in sections]
    return [{"role": "user", "content": "\n\n".join([question, *blocks, CLOSING_LINE])}]


def _earlier_turns(question: str, sections: list[Section]) -> list[Message]:
    """question, reply, question, ... question; the user turn after a failed reply says that it is wrong."""
    turns = [{"role": "user", "content": question}]
    for section in sections:
        again = f"{WRONG_TURN}\n\n{question}" if section.role == "failure" else question
        turns += [{"role": "assistant", "content": section.text.strip()}, {"role": "user", "content": again}]
    return turns


RENDERINGS: dict[str, Callable[[str, list[Section]], list[Message]]] = {
    "sections": _append_sections,
    "turns": _earlier_turns,
}
