"""The command `mopd`: a module for each group of commands. What needs no model starts at once."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import NoReturn

from flows.runtime.exit_code import leave, run_to_exit_code
from mopd.errors import InputError

GARBAGE_EVERY = 50_000
"""So many new objects, not 700, before some are looked through: imports make many, of which most stay."""


def entry() -> NoReturn:
    """The command as a process of its own."""
    gc.set_threshold(GARBAGE_EVERY)
    leave(main())


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code. What a user can mend is one line on stderr and exit code 2."""
    words = sys.argv[1:] if argv is None else list(argv)
    return run_to_exit_code(lambda: _run(words))


def _run(words: list[str]) -> int:
    from cyclopts import CycloptsError, UnusedCliTokensError

    from flows.cli.commands import mopd

    _, groups, others = mopd.parse_commands(words)
    if not others and groups[-1].default_command is None:
        raise InputError("name a command; --help lists them")
    try:
        command, arguments, _ = mopd.parse_args(words, print_error=False, exit_on_error=False)
    except UnusedCliTokensError as error:
        raise InputError(
            f"{' '.join(error.unused_tokens or [])}: not taken by this command; --help lists its arguments"
        ) from error
    except CycloptsError as error:
        raise InputError(str(error)) from error
    return command(*arguments.args, **arguments.kwargs) or 0
