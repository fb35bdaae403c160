"""The one error that means "your input is wrong": shown as a single line, exit code 2."""


class InputError(ValueError):
    """Bad input. The message names the file, row or field, and the fix."""
