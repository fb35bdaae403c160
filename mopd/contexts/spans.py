"""Where each peer stands in a context that was rendered: the way back from `mopd.contexts.render`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from mopd.contexts.render import CLOSING_LINE, HEADINGS, NOTES, WRONG_TURN
from mopd.tasks.task import Message

Row = dict[str, Any]
Numbered = list[tuple[int, Row]]
"""Peers with their numbers in the context's list of them."""


class Span(NamedTuple):
    """Characters of a message that are what one peer contributes."""

    peer: int
    """Its number among the context's peers."""
    message: int
    start: int
    end: int


def find_spans(messages: Sequence[Message], peers: Sequence[Row], rendering: str) -> list[Span]:
    """Where the peers of a row of `contexts` stand in its messages, in the order in which they stand there.

    None of those whose place isn't certain: of a message in which somebody spells out a heading, say.
    """
    users = [number for number, message in enumerate(messages) if message["role"] == "user"]
    numbered = list(enumerate(peers))
    if not users or not numbered:
        return []
    last = users[-1]
    replies = [pair for pair in numbered if rendering == "turns" and pair[1]["role"] not in NOTES]
    blocks = [pair for pair in numbered if pair not in replies]
    return [*_find_turns(messages, last, replies), *_find_blocks(messages[last]["content"], last, blocks)]


def _find_turns(messages: Sequence[Message], last: int, replies: Numbered) -> list[Span]:
    """Replies as turns before the user's last one; the turn after a failed one says that it is wrong."""
    places = [last - 2 * back + 1 for back in range(len(replies), 0, -1)]
    if any(place < 0 or messages[place]["role"] != "assistant" for place in places):
        return []
    wrong = [place for place in places if messages[place + 1]["content"].startswith(f"{WRONG_TURN}\n\n")]
    right = [place for place in places if place not in wrong]
    failures = [number for number, peer in replies if peer["role"] == "failure"]
    others = [number for number, peer in replies if peer["role"] != "failure"]
    if len(wrong) != len(failures):
        return []
    pairs = sorted([*zip(wrong, failures, strict=True), *zip(right, others, strict=True)])
    return [Span(number, place, 0, len(messages[place]["content"])) for place, number in pairs]


def _find_blocks(text: str, message: int, peers: Numbered) -> list[Span]:
    """Paragraphs under headings, between the question and the closing line."""
    closing = text.rfind(f"\n\n{CLOSING_LINE}")
    marks = _find_headings(text[: max(closing, 0)], peers)
    ends = [*(mark.start() for mark, _ in marks[1:]), closing]
    spans: list[Span] = []
    for (mark, numbers), end in zip(marks, ends):
        if mark[1] == HEADINGS["summary"]:
            spans += _find_lines(text, message, mark.end(), end, numbers)
        else:
            spans.append(Span(numbers[0], message, mark.end(), end))
    return spans


def _find_headings(text: str, peers: Numbered) -> list[tuple[re.Match[str], list[int]]]:
    """Each heading in the order of the text, and whose it is; none where one of them stands there once too often."""
    numbers: dict[str, list[int]] = {}
    for number, peer in peers:
        numbers.setdefault(HEADINGS[peer["role"]], []).append(number)
    marks: list[tuple[re.Match[str], list[int]]] = []
    for heading, meant in numbers.items():
        found = list(re.finditer(f"\n\n({re.escape(heading)})\n", text))
        parts = [meant] if heading == HEADINGS["summary"] else [[number] for number in meant]
        if len(found) != len(parts):
            return []
        marks += zip(found, parts, strict=True)
    return sorted(marks, key=lambda mark: mark[0].start())


def _find_lines(text: str, message: int, start: int, end: int, numbers: list[int]) -> list[Span]:
    """Summaries: a line each, after what it says of the outcome."""
    spans = []
    for line in text[start:end].split("\n"):
        spans.append((start + line.find(": ") + 2, start + len(line)))
        start += len(line) + 1
    if len(spans) != len(numbers):
        return []
    return [Span(number, message, *span) for number, span in zip(numbers, spans, strict=True)]
