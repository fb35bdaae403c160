"""What goes wrong in a run folder, said to a user in one line."""

from __future__ import annotations


class StorageError(ValueError):
    """A run folder, a row or a query that can't be used; the message names what, where and the fix."""


def damaged_error(address: str, file: str) -> StorageError:
    """What is raised for a file of the run at `address` whose bytes aren't those that were committed."""
    return StorageError(
        f"{file} is damaged or missing: mopd repair {address} sets it aside, then mopd run {address} makes it again"
    )
