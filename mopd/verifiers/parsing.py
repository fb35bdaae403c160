"""Python text of others, read as a tree from any thread."""

from __future__ import annotations

import ast
import warnings
from threading import RLock

PARSING = RLock()
"""CPython 3.11 counts the depth of ast.parse for all threads in one place: two at work raise SystemError."""

NOT_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What reading text that is no Python raises."""


def parse(source: str) -> ast.Module:
    """The tree of a text. Raises one of NOT_PYTHON; warns of nothing."""
    with PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)
