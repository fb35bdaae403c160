"""One-sentence summaries of replies: how the student is asked for them, and where they are found."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from mopd.settings.condition import ConditionSettings
from mopd.tasks.task import Message

if TYPE_CHECKING:
    from mopd.settings import Settings

SUMMARY_INSTRUCTION = "End your reply with a summary of your solution in one sentence, inside <summary>...</summary>."
EXCERPT_CHARACTERS = 240
"""The end of a reply, where its answer stands, shown where it has no summary."""

_TAGGED = re.compile(r"<summary>((?:(?!<summary>).)*?)</summary>", re.DOTALL)
_THOUGHT = r"\A(?:(?!<think>).)*</think>|<think>(?:(?!</think>).)*(?:</think>|\Z)"
"""What stands inside <think>; also from the reply's beginning, where the tag that opens it stood in the prompt."""
_NOTE = re.compile(rf"(?P<thought>{_THOUGHT})|<summary>(?:(?!</?summary>).)*(?:</summary>|\Z)", re.DOTALL)


class Summary(NamedTuple):
    """A reply in one line."""

    text: str
    tagged: bool
    """Whether the reply gave it in its tag, or it is an excerpt."""


def generation_instruction(settings: ConditionSettings, ask: Literal["auto", "always", "never"] = "auto") -> str:
    """What is asked of the student beside the question: for the sake of its context (`auto`), or in any case."""
    wanted = settings.variant.shows_summaries if ask == "auto" else ask == "always"
    return SUMMARY_INSTRUCTION if wanted else ""


def instruction_of(settings: Settings) -> str:
    """`generation_instruction` by the settings of a run."""
    return generation_instruction(settings.condition, settings.generate.ask_for_summary)


def with_instruction(messages: list[Message], instruction: str) -> list[Message]:
    """The messages, the instruction as a paragraph at the end of the last user message."""
    if not instruction:
        return messages
    last_user = max(index for index, message in enumerate(messages) if message["role"] == "user")
    instructed = {**messages[last_user], "content": f"{messages[last_user]['content']}\n\n{instruction}"}
    return [*messages[:last_user], instructed, *messages[last_user + 1 :]]


def summarize(reply: str) -> Summary:
    """What stands in the last whole <summary> outside of thoughts; else the reply's end, cut between words.

    Empty for a reply that is nothing but thoughts.
    """
    from mopd.verifiers.reply import without_thinking  # all verifiers come along, and who plans a run judges nothing

    visible = without_thinking(reply)
    tagged = [line for text in _TAGGED.findall(visible) if (line := _line(text))]
    if tagged:
        return Summary(tagged[-1], True)
    line = _line(visible.replace("<summary>", " ").replace("</summary>", " "))
    if len(line) <= EXCERPT_CHARACTERS:
        return Summary(line, False)
    end = line[-EXCERPT_CHARACTERS:]
    return Summary("… " + (end.partition(" ")[2] or end), False)


def without_summary(reply: str) -> str:
    """The reply as it is judged: no summary in it, nor the beginning of one that was cut off. Thoughts stay."""
    return _NOTE.sub(lambda match: match["thought"] or "", reply)


def _line(text: str) -> str:
    return " ".join(text.split())
