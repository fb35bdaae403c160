"""What goes wrong in a run folder, said to a user in one line."""

from __future__ import annotations


class StorageError(ValueError):
    """A run folder, a row or a query that can't be used; the message names what, where and the fix."""
