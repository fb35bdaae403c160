"""What goes wrong in a run folder, said to a user in one line."""

from __future__ import annotations

import shlex


class StorageError(ValueError):
    """A run folder, a row or a query that can't be used; the message names what, where and the fix."""


DAMAGED = "is damaged or missing"
"""What is said of a file whose bytes aren't those that were committed."""


def with_mending(address: str, problem: str) -> str:
    """What is wrong with a file of the run at `address`, and what mends it: the same line, whoever comes upon it."""
    run = shlex.quote(address)
    return f"{problem}: mopd repair {run} sets it aside, then mopd run {run} makes it again"


def damaged_error(address: str, file: str) -> StorageError:
    """What is raised for a file of the run at `address` that is damaged or missing."""
    return StorageError(with_mending(address, f"{file} {DAMAGED}"))
