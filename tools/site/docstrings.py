"""A docstring is plain text with code in backticks: what looks like a tag in it is none."""

from __future__ import annotations

import re
from typing import Any

import griffe


class PlainText(griffe.Extension):
    """Shows `<think>` of a docstring as it stands there, where Markdown would take it for HTML."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring:
            obj.docstring.value = escape_tags(obj.docstring.value)


def escape_tags(text: str) -> str:
    """The text with each `<` that would begin a tag escaped, but for those in backticks and in indented blocks."""
    return "\n".join(line if line.startswith("    ") else _escape_line(line) for line in text.split("\n"))


def _escape_line(line: str) -> str:
    parts = re.split(r"(`[^`]*`)", line)
    return "".join(part if part.startswith("`") else re.sub(r"<(?=[A-Za-z/!?])", "&lt;", part) for part in parts)
