"""Errors that mean more than a bug: bad input, and an engine that is of no use any more."""


class InputError(ValueError):
    """Bad input. The message names the file, row or field, and the fix: a single line, exit code 2."""


class EngineDead(RuntimeError):
    """The engine of this process can't go on, and another one can't be made in it: the process is to be replaced."""
