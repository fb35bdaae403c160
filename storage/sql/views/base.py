"""What a view is. Its SQL reads tables, other views, and the schema `parts`.

`parts.contexts`, and so for each table, is that table for joins: whoever asks for no more than its keys gets no rows of
it, so that it isn't opened. It must have one row at most for each row that it is joined to, or be grouped to that.
"""

from __future__ import annotations

from dataclasses import dataclass

PARTS = "parts"
"""The schema of what only views read."""


@dataclass(frozen=True)
class View:
    """A name in SQL for a query over tables."""

    name: str
    about: str
    """One line."""
    sql: str
    columns: dict[str, str]
    """What each says, in their order."""
