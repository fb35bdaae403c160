"""Markdown around text that others wrote: names of models, paths, settings. Such text is never markup."""

from __future__ import annotations

import json
import re
from typing import Any

LONGEST = 200
"""Characters of a value that stand in a table: a chat template is a page."""


def one_line(text: str) -> str:
    """The text without line breaks and what else can't be seen, which is written as its number."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)


def code(text: str, longest: int = LONGEST) -> str:
    """A code span on one line, in which nothing means anything."""
    line = one_line(text)
    line = line if len(line) <= longest else f"{line[:longest]}…"
    if "\\" in line:  # in a table, a backslash before a bar would be read as its escape
        line = line.replace("|", "\\u007c")
    fence = "`" * (1 + _longest_ticks(line))
    padding = " " if line[:1] in ("`", " ", "") or line[-1:] == "`" else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def code_value(value: Any) -> str:
    """A setting's value as a code span."""
    return code(json.dumps(value, ensure_ascii=False))


def code_block(language: str, text: str) -> str:
    """A fenced block."""
    fence = "`" * max(3, 1 + _longest_ticks(text))
    return f"{fence}{language}\n{text}\n{fence}"


def heading(text: str) -> str:
    """Text as a heading may have it: as it is where nothing in it can mean anything."""
    return text if re.fullmatch(r"[\w./-]*[A-Za-z0-9./-]", text) and "__" not in text else code(text)


def bullets(lines: list[str]) -> str:
    """A list."""
    return "\n".join(f"- {line}" for line in lines)


def _longest_ticks(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
