"""The verifier of tool calls: the right actions with the right inputs."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from mopd.verifiers.base import Problem, Verdict, verifier
from mopd.verifiers.reply import without_thinking

FORMAT = (
    'For each call write a line "Action: " with the tool\'s name and nothing else, then a line "Action Input: " with '
    "one JSON object."
)

_ACTION = re.compile(r"^[ \t]*Action:(.*)$", re.MULTILINE)
_INPUT = re.compile(r"^[ \t]*Action Input:\s*(?:```(?:json)?\s*)?", re.MULTILINE)
_DECODER = json.JSONDecoder()


class Calls(NamedTuple):
    """The tool calls of a reply, or those expected."""

    actions: Counter[str]
    inputs: dict[str, Any]
    """The objects of all inputs, merged; of two values for one name, the later."""


def expected_calls(problem: Problem, name: str) -> str | None:
    """The answer must be a JSON list of calls."""
    try:
        _expected(problem.answer)
    except ValueError as error:
        return f"answer: {error}, as {name} wants"
    return None


@verifier(check=expected_calls)
def tool_use(text: str, problem: Problem) -> Verdict:
    """The names after "Action:", each as often as expected, and the merged objects after "Action Input:" must equal
    those of the answer."""
    expected = _expected(problem.answer)
    reply = without_thinking(text)
    actions = Counter(name.strip() for name in _ACTION.findall(reply))
    if not actions:
        return Verdict(0.0, None, f'Wrong format: the reply has no line "Action:". {FORMAT}')
    inputs: dict[str, Any] = {}
    for place, value in enumerate(_inputs(reply), 1):
        if value is None:
            feedback = f'Wrong format: what follows "Action Input:" in call {place} is not a JSON object. {FORMAT}'
            return Verdict(0.0, _list(actions), feedback)
        inputs |= value
    wrong = _wrong_parts(Calls(actions, inputs), expected)
    return Verdict(0.0, _list(actions), " ".join(wrong)) if wrong else Verdict(1.0, _list(actions))


def _wrong_parts(called: Calls, expected: Calls) -> list[str]:
    """What is wrong, named by what the reply has, never by what it lacks."""
    wrong = []
    if surplus := called.actions - expected.actions:
        wrong.append(f"These actions are wrong or too many: {_list(surplus)}.")
    if missing := expected.actions - called.actions:
        wrong.append(f"The number of further actions needed: {missing.total()}.")
    keys = [key for key in called.inputs if key not in expected.inputs]
    if keys:
        wrong.append(f"These input parameters don't belong: {_cut(', '.join(keys))}.")
    if lacking := sum(key not in called.inputs for key in expected.inputs):
        wrong.append(f"The number of input parameters that are missing: {lacking}.")
    shared = [key for key in called.inputs if key in expected.inputs]
    values = [key for key in shared if not _same(called.inputs[key], expected.inputs[key])]
    if values:
        wrong.append(f"These input parameters have a wrong value: {_cut(', '.join(values))}.")
    return wrong


def _expected(answer: str) -> Calls:
    """The calls of a task's answer. Raises ValueError with what is wrong and the fix."""
    fix = 'write a JSON list of {"Action": name, "Action_Input": JSON object as text}'
    try:
        rows = json.loads(answer)
        actions = Counter(str(row["Action"]).strip() for row in rows)
        inputs: dict[str, Any] = {}
        for row in rows:
            inputs |= json.loads(row["Action_Input"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        problem = f"{_cut(repr(answer))} is no list of tool calls ({type(error).__name__}: {error})"
        raise ValueError(f"{problem}; {fix}") from error
    if not actions:
        raise ValueError(f"no tool call; {fix}")
    return Calls(actions, inputs)


def _inputs(reply: str) -> Iterator[dict[str, Any] | None]:
    """The objects after each "Action Input:", nested ones whole; None for one that is no JSON object."""
    for match in _INPUT.finditer(reply):
        try:
            value, _ = _DECODER.raw_decode(reply, match.end())
        except (ValueError, RecursionError):
            value = None
        yield value if isinstance(value, dict) else None


def _same(first: Any, second: Any) -> bool:
    """Equality of JSON values: 1 is 1.0, but not true."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_same(value, second[key]) for key, value in first.items())
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_same, first, second))
    return isinstance(first, bool) == isinstance(second, bool) and bool(first == second)


def _list(actions: Counter[str]) -> str:
    return _cut(", ".join(actions.elements()))


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."
