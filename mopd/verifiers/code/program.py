"""The source that is run for a program, and whose lines are whose."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

MODULES_TEXT = """
    string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys json
"""
PRELUDE_MODULES = MODULES_TEXT.split()
PRELUDE = "\n".join(
    [
        *(f"from {module} import *" for module in PRELUDE_MODULES),
        "from builtins import *",  # pow, open and others are the built-in ones again
        "from typing import *",
        *(f"import {module}" for module in PRELUDE_MODULES),  # `bisect` and `datetime` are the modules
        "sys.setrecursionlimit(50_000)",
    ]
)
"""What judges of competitive programs import before a program, in their order: LiveCodeBench's names."""

_FUTURE = re.compile(r"^from __future__ import (?:\([^)]{0,400}\)|[^\n(]*)$", re.MULTILINE)


@dataclass(frozen=True)
class Submission:
    """A program made ready to run: `head` stands before it, after its __future__ imports."""

    text: str
    """As the reply has it."""
    head: str = ""

    @cached_property
    def source(self) -> str:
        """What is run."""
        if not self.head:
            return self.text
        at = self._insertion()
        return f"{self.text[:at]}{self.head}\n{self.text[at:]}"

    def line(self, number: int | None) -> int | None:
        """The program's own line for a line of `source`, from 1; None for lines that are not its own."""
        if number is None:
            return None
        before = self.text.count("\n", 0, self._insertion())
        added = self.head.count("\n") + 1 if self.head else 0
        own = number if number <= before else number - added
        return own if own >= 1 and (number <= before or own > before) else None

    def own_lines(self, error: str | None) -> str | None:
        """The error; where it is a syntax error, its "line N" is the program's own."""
        if error is None or not error.startswith(("SyntaxError", "IndentationError", "TabError")):
            return error
        return re.sub(r"(?<=\bline )[0-9]+", lambda match: str(self.line(int(match[0])) or match[0]), error)

    def line_text(self, number: int) -> str | None:
        """The text of the program's own line, from 1; None past its end."""
        lines = self.text.split("\n")
        return lines[number - 1].strip() if 1 <= number <= len(lines) else None

    def callable_name(self, function: str) -> str:
        """`Solution.f` where the program has that method, else `f`; told from its text, which nothing here runs."""
        solution = re.search(r"^class[ \t]+Solution\b", self.text, re.MULTILINE)
        method = re.compile(rf"^[ \t]+(?:async[ \t]+)?def[ \t]+{re.escape(function)}\b", re.MULTILINE)
        return f"Solution.{function}" if solution and method.search(self.text, solution.end()) else function

    def _insertion(self) -> int:
        """Where `head` goes in the text: the start of a line."""
        at = 0
        for match in _FUTURE.finditer(self.text):
            at = match.end() + 1
        return min(at, len(self.text))
