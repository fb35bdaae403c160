"""Errors that mean more than a bug: bad input, what the system refuses, an engine that is of no use any more."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_WORDS = re.compile(r"\(os error (\d+)\)|\[Errno (\d+)\]")


class InputError(ValueError):
    """Bad input. The message names the file, row or field, and the fix: a single line, exit code 2."""


class EngineDead(RuntimeError):
    """The engine of this process can't go on, and another one can't be made in it: the process is to be replaced."""


def system_errno(error: BaseException) -> int | None:
    """The number of what the system refused (`errno.ENOSPC`: a full disk); None of another error.

    Libraries in Rust (safetensors, tokenizers, hf-xet) and copies of whole folders have it in their words alone.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    number = _IN_WORDS.search(str(error))
    return int(number[1] or number[2]) if number else None


def is_full_disk(error: BaseException) -> bool:
    """Whether there is no room, or no more of it for this user, whichever library wrote."""
    return system_errno(error) in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the system refuses while `path` is written is an OSError that names a file, whichever library wrote."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        number = system_errno(error)
        if number is None or (isinstance(error, OSError) and error.filename is not None):
            raise
        raise OSError(number, os.strerror(number), str(path)) from error
