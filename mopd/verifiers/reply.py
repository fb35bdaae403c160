"""Where the answer stands in a reply. What a model thinks aloud, inside <think>, is never its answer."""

from __future__ import annotations

import re

_BRACE = re.compile(r"(?P<box>\\(?:boxed|fbox)\s*\{)|\\.|[{}]", re.DOTALL)
"""Braces that count: an escaped one is a sign."""


def without_thinking(text: str) -> str:
    """The reply after its thoughts, and between them. A thought that never ends leaves nothing after it; a lone
    </think> ends one that began in the prompt."""
    parts = re.split(r"(</?think>)", text)
    kept: list[str] = []
    thinking = False
    for part in parts:
        if part == "</think>":
            if not thinking:
                kept = []
            thinking = False
        elif part == "<think>":
            thinking = True
        elif not thinking:
            kept.append(part)
    return "".join(kept)


def tagged_answer(text: str) -> str | None:
    """What stands in the last <answer>, to the end where nothing closes it, stripped; None where there is none."""
    _, tag, after = text.rpartition("<answer>")
    return after.partition("</answer>")[0].strip() if tag else None


def boxed_answer(text: str) -> str | None:
    """What stands in the last \\boxed{} or \\fbox{}, by balanced braces, stripped; None where there is none, or the
    last is never closed. Of a box in a box, the outer one counts. One pass, whatever the text."""
    open_braces: list[int | None] = []  # of a box its start, of another brace None
    closed: list[tuple[int, int]] = []
    last = -1
    for match in _BRACE.finditer(text):
        if match[0] == "}":
            start = open_braces.pop() if open_braces else None
            if start is not None:
                closed.append((start, match.start()))
        elif match["box"]:
            last = match.end()
            open_braces.append(last)
        elif match[0] == "{":
            open_braces.append(None)
    around = [(start, end) for start, end in closed if start <= last < end + 1]
    if not any(start == last for start, _ in around):
        return None
    start, end = min(around)
    return text[start:end].strip()
