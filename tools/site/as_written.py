"""How the reference reads our modules: docstrings are plain text, and a name is shown where it is defined."""

from __future__ import annotations

import re
from typing import Any

import griffe


class AsWritten(griffe.Extension):
    """Shows `<think>` of a docstring, which Markdown would take for HTML; and no name again where it is re-exported."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring:
            obj.docstring.value = escape_tags(obj.docstring.value)

    def on_module_members(self, *, mod: griffe.Module, **kwargs: Any) -> None:
        mod.exports = None


def escape_tags(text: str) -> str:
    """The text with each `<` that would begin a tag escaped, but for those in backticks and in indented blocks."""
    return "\n".join(line if line.startswith("    ") else _escape_line(line) for line in text.split("\n"))


def _escape_line(line: str) -> str:
    parts = re.split(r"(`[^`]*`)", line)
    return "".join(part if part.startswith("`") else re.sub(r"<(?=[A-Za-z/!?])", "&lt;", part) for part in parts)
