"""What is told of a program's first failure: input, expected, got, or the error and its line, within a size limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_CHARS = 1000
"""Of a whole feedback."""
FIELD_CHARS = 240
"""Of the input, the expected value, what the program gave, and the error, each."""

_HEADLINES = {
    "wrong_answer": "Wrong answer",
    "runtime_error": "Runtime error",
    "crashed": "The process ended before it answered",
    "timeout": "Time limit exceeded",
    "output_limit": "Too much output",
    "protocol_error": "What came back can't be read as a value",
}


@dataclass(frozen=True)
class Failure:
    """A test that failed, or could not be run."""

    kind: str
    """A verdict's kind."""
    input: str
    """The input, or the call, as text."""
    expected: str | None = None
    got: str | None = None
    error: str | None = None
    line: int | None = None
    """Of the program, from 1."""
    line_text: str | None = None


def describe(failure: Failure, *, number: int, num_tests: int, num_passed: int, limit: str | None = None) -> str:
    """Feedback on test `number` (from 1) of `num_tests`; `limit` says which limit was passed, where one was."""
    headline = _HEADLINES[failure.kind] + (f" ({limit})" if limit else "")
    parts = [f"{headline} in test {number} of {num_tests}; {num_passed} passed."]
    fields = {"Input": failure.input, "Expected": failure.expected, "Got": failure.got, "Error": failure.error}
    parts += [f"{name}: {cut(value.rstrip(), FIELD_CHARS)}" for name, value in fields.items() if value is not None]
    if failure.line is not None:
        parts.append(
            f"At line {failure.line} of the program: {cut(failure.line_text or '', FIELD_CHARS // 2)}".rstrip()
        )
    text = "\n".join(parts).encode("utf-8", "backslashreplace").decode()  # a program may print half a surrogate pair
    return cut(text, MAX_CHARS)


def ask_for_program(testtype: str, fn_name: str | None) -> str:
    """Feedback on a reply without a complete block of code."""
    task = "reads standard input and prints its answer" if testtype == "stdin" else f"defines the function {fn_name}"
    return (
        "The reply holds no complete block of code. Give the whole program in one fenced block, closed at its end:\n"
        f"```python\n# a program that {task}\n```"
    )


def show(value: Any) -> str:
    """A value as its source."""
    try:
        return repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list in a list in a list ...
        return f"a value of type {type(value).__name__} too large to be shown"


def cut(text: str, limit: int) -> str:
    """The text, or its two ends with " ... " between them, at most `limit` characters."""
    if len(text) <= limit:
        return text
    tail = (limit - 5) // 3  # the beginning tells more
    return f"{text[: limit - 5 - tail]} ... {text[len(text) - tail :]}"
