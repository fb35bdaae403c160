"""The tests of a code task, read strictly from their JSON text.

    {"testtype": "functional", "fn_name": "add", "inputs": ["1\\n2"], "outputs": ["3"], "time_limit": 6}

- `stdin`: the program reads an input from stdin; what it prints is compared.
- `functional`: the function `fn_name`, or that method of `class Solution`, is called. An input is text with one JSON
  value a line, and its output JSON text; or an input is a list of arguments, and its output the value itself.
- `code`: inputs are Python tests: asserts that call the program's function, a function `check(candidate)` as in
  HumanEval, or tests as pytest and unittest run them. `fn_name` may be a class; `names` lists further names of the
  program. `setup` is Python that stands before program and tests: the prompt's imports and helpers. No outputs.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from mopd.verifiers.code.asserts import Assertion
from mopd.verifiers.code.bad_tests import BadTests, brief
from mopd.verifiers.code.script_names import Names, importable, programs_importable
from mopd.verifiers.code.scripts import ScriptCase, called_function, check_imports, read_scripts, read_setup
from mopd.verifiers.parsing import PARSING

FIELDS = ("testtype", "inputs", "outputs", "fn_name", "time_limit", "setup", "names")
TEST_TYPES = ("stdin", "functional", "code")


@dataclass(frozen=True)
class StdinCase:
    """A whole run: what is given on stdin, and what should be printed."""

    stdin: str
    expected: str


@dataclass(frozen=True)
class CallCase:
    """A call: positional arguments, and the value that should come back."""

    args: list[Any]
    expected: Any


Case = StdinCase | CallCase | Assertion | ScriptCase


@dataclass(frozen=True)
class CodeTests:
    """The tests of one task."""

    testtype: str
    cases: tuple[Case, ...]
    fn_name: str | None
    """The function that is called; None for stdin."""
    time_limit: float | None
    """CPU seconds of one case; None: as the settings say."""
    setup: str
    """Python that stands before the program; empty for none."""


@lru_cache(maxsize=32)  # a group's rollouts share their tests
def parse_tests(text: str, packages: tuple[str, ...] = ()) -> CodeTests:
    """The tests in JSON text; they may import `packages`. Raises BadTests, one line that names the field."""
    with PARSING:
        return _parse_tests(text, packages)


def asked_function(text: str | None, packages: tuple[str, ...] = ()) -> str | None:
    """The function that tests in JSON text call; None where they call none, or aren't valid."""
    try:
        return parse_tests(text or "", packages).fn_name
    except BadTests:
        return None


def _parse_tests(text: str, packages: tuple[str, ...]) -> CodeTests:
    tests = _mapping(text)
    testtype = tests.get("testtype")
    if testtype not in TEST_TYPES:
        raise BadTests(f"tests.testtype: {brief(testtype)} is unknown; choose one of {', '.join(TEST_TYPES)}")
    inputs, outputs = _list(tests, "inputs"), _list(tests, "outputs")
    if not inputs:
        raise BadTests("tests.inputs: empty; a task without tests can't be judged, give one at least")
    fn_name, further = _fn_name(tests), _further(tests)
    modules = importable(packages)
    cases: tuple[Case, ...]
    if testtype == "code":
        fn_name = fn_name or called_function(inputs, modules)
    names = Names(fn_name, further, modules) if fn_name is not None else None
    setup = read_setup(tests.get("setup"), names)
    check_imports(setup, programs_importable(packages))
    if testtype == "code":
        assert names is not None, "code tests name a function"
        cases = tuple(read_scripts(inputs, names, setup))
    else:
        cases = _answered_cases(testtype, fn_name, inputs, outputs)
    return CodeTests(testtype, cases, None if testtype == "stdin" else fn_name, _time_limit(tests), setup)


def _answered_cases(testtype: str, fn_name: str | None, inputs: list[Any], outputs: list[Any]) -> tuple[Case, ...]:
    if len(inputs) != len(outputs):
        raise BadTests(f"tests.outputs: {len(outputs)} of them for {len(inputs)} inputs; give one for each")
    if testtype == "functional" and fn_name is None:
        raise BadTests("tests.fn_name: missing; name the function that is called")
    read = _stdin_case if testtype == "stdin" else _call_case
    return tuple(read(*pair, number) for number, pair in enumerate(zip(inputs, outputs)))


def _mapping(text: str) -> dict[str, Any]:
    try:
        tests = json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise BadTests(f"tests: not valid JSON ({' '.join(str(error).split())})") from error
    if not isinstance(tests, dict):
        raise BadTests(f"tests: a JSON object is wanted, with {', '.join(FIELDS)}")
    unknown = sorted(tests.keys() - set(FIELDS))
    if unknown:
        raise BadTests(f"tests.{unknown[0]}: unknown; the fields are {', '.join(FIELDS)}")
    return tests


def _list(tests: dict[str, Any], field: str) -> list[Any]:
    value = tests.get(field)
    if field == "outputs" and tests.get("testtype") == "code":
        return []  # asserts hold their own
    if not isinstance(value, list):
        raise BadTests(f"tests.{field}: {brief(value)} is no list; give one item a test")
    return value


def _fn_name(tests: dict[str, Any]) -> str | None:
    name = tests.get("fn_name") or None
    if name is not None and not (isinstance(name, str) and name.isidentifier()):
        raise BadTests(f"tests.fn_name: {brief(name)} is no function's name; write the bare name, without class")
    return name


def _further(tests: dict[str, Any]) -> tuple[str, ...]:
    names = tests.get("names") or []
    if not isinstance(names, list) or not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise BadTests(f"tests.names: {brief(names)} is no list of names; list what else of the program the tests use")
    return tuple(names)


def _time_limit(tests: dict[str, Any]) -> float | None:
    limit = tests.get("time_limit")
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 0 < limit < math.inf:
        raise BadTests(f"tests.time_limit: {brief(limit)} is no time; give seconds above 0, or null")
    return float(limit)


def _stdin_case(stdin: Any, expected: Any, number: int) -> StdinCase:
    for field, value in (("inputs", stdin), ("outputs", expected)):
        if not isinstance(value, str):
            raise BadTests(f"tests.{field}[{number}]: {brief(value)} is not text; give what is read or printed")
    return StdinCase(stdin, expected)


def _call_case(written: Any, expected: Any, number: int) -> CallCase:
    if isinstance(written, list):
        return CallCase(written, expected)
    if not isinstance(written, str):
        raise BadTests(
            f"tests.inputs[{number}]: {brief(written)} is neither text nor a list; give one JSON value a line, or a "
            "list of arguments"
        )
    args = [_json(line, f"tests.inputs[{number}]") for line in written.split("\n") if line.strip()]
    return CallCase(args, _json(expected, f"tests.outputs[{number}]") if isinstance(expected, str) else expected)


def _json(text: str, field: str) -> Any:
    try:
        return json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise BadTests(f"{field}: {brief(text)} is not valid JSON; quote text, write true and null") from error


def _integer(text: str) -> int:
    """An integer of any length: Python's own reading stops at some thousand digits, and takes the square of them."""
    return int(text) if len(text) <= 4000 else int(Decimal(text))
