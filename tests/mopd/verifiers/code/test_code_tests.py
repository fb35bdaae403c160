from __future__ import annotations

import ast
import gc
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mopd.verifiers import VERIFIERS, Problem
from mopd.verifiers.code.asserts import Assertion
from mopd.verifiers.code.scripts import BadTests, ScriptCase, human_eval_tests
from mopd.verifiers.code.tests import CallCase, StdinCase, parse_tests


def parsed(**fields: Any) -> Any:
    return parse_tests(json.dumps({"outputs": [], **fields}))


def test_stdin() -> None:
    tests = parsed(testtype="stdin", inputs=["1\n"], outputs=["2\n"], fn_name=None, time_limit=2)
    assert (tests.cases, tests.fn_name, tests.time_limit) == ((StdinCase("1\n", "2\n"),), None, 2.0)


@pytest.mark.parametrize(
    ("given", "output", "case"),
    [
        ('[1, 2]\n"a"', "[1]", CallCase([[1, 2], "a"], [1])),
        ("\n", "null", CallCase([], None)),
        ("1", 2, CallCase([1], 2)),
        ("1", '"2"', CallCase([1], "2")),
        ([1, "2"], "3", CallCase([1, "2"], "3")),
        ([], [True], CallCase([], [True])),
    ],
)
def test_functional(given: Any, output: Any, case: CallCase) -> None:
    tests = parsed(testtype="functional", fn_name="f", inputs=[given], outputs=[output])
    assert (tests.cases, tests.fn_name, tests.time_limit) == ((case,), "f", None)


GOOD: dict[str, Any] = {"testtype": "functional", "fn_name": "f", "inputs": ["1"], "outputs": ["1"]}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"testtype": "call"}, "tests.testtype: 'call' is unknown; choose one of stdin, functional, code"),
        ({"inputs": []}, "tests.inputs: empty; a task without tests can't be judged, give one at least"),
        ({"inputs": "1"}, "tests.inputs: '1' is no list; give one item a test"),
        ({"outputs": None}, "tests.outputs: None is no list; give one item a test"),
        ({"outputs": ["1", "2"]}, "tests.outputs: 2 of them for 1 inputs; give one for each"),
        (
            {"inputs": [1]},
            "tests.inputs[0]: 1 is neither text nor a list; give one JSON value a line, or a list of arguments",
        ),
        ({"inputs": ["x"]}, "tests.inputs[0]: 'x' is not valid JSON; quote text, write true and null"),
        ({"outputs": ["x"]}, "tests.outputs[0]: 'x' is not valid JSON; quote text, write true and null"),
        ({"fn_name": None}, "tests.fn_name: missing; name the function that is called"),
        (
            {"fn_name": "Solution.f"},
            "tests.fn_name: 'Solution.f' is no function's name; write the bare name, without class",
        ),
        ({"time_limit": 0}, "tests.time_limit: 0 is no time; give seconds above 0, or null"),
        ({"time_limit": True}, "tests.time_limit: True is no time; give seconds above 0, or null"),
        (
            {"timelimit": 1},
            "tests.timelimit: unknown; the fields are testtype, inputs, outputs, fn_name, time_limit, setup, names",
        ),
        ({"testtype": "stdin", "inputs": [1]}, "tests.inputs[0]: 1 is not text; give what is read or printed"),
        ({"setup": 1}, "tests.setup: 1 is not text; write Python"),
        ({"setup": "def"}, "tests.setup: not Python (invalid syntax (<unknown>, line 1)); mend it"),
        ({"testtype": "code"}, "tests.inputs[0]: tests nothing; write an assert"),
        (
            {"testtype": "code", "inputs": ["f("]},
            "tests.inputs[0]: not Python ('(' was never closed (<unknown>, line 1)); mend it",
        ),
        (
            {"testtype": "code", "inputs": ["assert f(1) == len([2])", "for x in [g(1)]:\n    assert f(x)"]},
            "tests.inputs[1]: calls g, and only f is the program's; define it in tests.setup, or "
            "name it in tests.names",
        ),
        (
            {"testtype": "code", "fn_name": None, "inputs": ["assert f(1) == g(1)"]},
            "tests.fn_name: missing, and the tests call f, g; write the program's function here",
        ),
        (
            {"testtype": "code", "fn_name": None, "inputs": ["def check(candidate):\n    assert candidate(1)"]},
            "tests.fn_name: missing, and the tests don't name it; write the program's function here",
        ),
    ],
)
def test_bad_tests_are_named_by_their_field(changed: dict[str, Any], problem: str) -> None:
    text = json.dumps(GOOD | changed)
    with pytest.raises(BadTests) as raised:
        parse_tests(text)
    assert str(raised.value) == problem
    check = VERIFIERS["code"].check
    assert check is not None
    assert check(Problem(tests=text), "code") == problem


@pytest.mark.parametrize(
    ("tests", "problem"),
    [
        (None, "tests: missing, and code runs them; give JSON with testtype, inputs, outputs ..."),
        ("[", "tests: not valid JSON (Expecting value: line 1 column 2 (char 1))"),
        ("[" * 100_000, "tests: not valid JSON ("),
        ("[]", "tests: a JSON object is wanted, with testtype, inputs, outputs, fn_name, time_limit, setup, names"),
        (json.dumps(GOOD), None),
    ],
)
def test_what_is_no_tests_at_all_is_refused_at_load_time(tests: str | None, problem: str | None) -> None:
    check = VERIFIERS["code"].check
    assert check is not None
    found = check(Problem(tests=tests), "code")
    assert found is None if problem is None else (found or "").startswith(problem)


def cases(*inputs: str, fn_name: str | None = "f", setup: str = "") -> Any:
    return parsed(testtype="code", inputs=inputs, fn_name=fn_name, setup=setup).cases


@pytest.mark.parametrize(
    ("source", "values", "holds"),
    [
        ("assert f(1) == [1, 2]", [[1, 2]], True),
        ("assert f(1) == [1, 2]", [(1, 2)], False),
        ("assert candidate(1) == (3, 4)", [(3, 4)], True),
        ("assert f(1) is True", [1], False),
        ("assert f(1) == True, 'message'", [True], True),
        ("assert f(1) is None", [None], True),
        ("assert not f(1)", [[]], True),
        ("assert f(1)", [0], False),
        ("assert f(1) != 2", [3], True),
        ("assert abs(f(1) - 2.0 / 3.0) < 1e-6", [0.6666666], True),
        ("assert abs(f(1) - 2.0 / 3.0) < 1e-6", [0.66], False),
        ("assert tuple(f(1)) == tuple(f(1))", [[1], (1,)], True),
        ("assert 0 < f(1) <= 3 and f(1)", None, None),
        ("assert 0 < f(1) <= 3 and True", [3], True),
        ("assert f(1)[0] == -1", [[-1]], True),
        ("assert set(f(1)) == {1, 2}", [[2, 1, 1]], True),
        ("assert f(1) == {'a': [1], 2: None}", [{"a": [1], 2: None}], True),
        ("assert f(1) == float('nan')", None, None),
        ("assert f(x=1) == 1", None, None),
        ("assert f(f(1)) == 1", None, None),
        ("assert f(1) * 10**9 == 1", None, None),
        ("assert f(1) == 10**10**9", None, None),
        ("assert f([0] * 10**9) == 1", None, None),
        ("assert f(1).real == 1", None, None),
        ("assert sorted(f(1), key=len) == 1", None, None),
        ("assert __import__('os').system(f(1)) == 1", None, None),
        ("assert f(1) == '%1000000000d' % 1", None, None),
        ("for x in range(3):\n    assert f(x) == x", None, None),
        ("x = 3\nassert f(x) == x", None, None),
        ("import math\nassert f(1) == 1", None, None),
    ],
)
def test_asserts_are_judged_outside_where_that_is_safe(
    source: str, values: list[Any] | None, holds: bool | None
) -> None:
    (case,) = cases(source)
    assert isinstance(case, Assertion) == (values is not None)
    if values is not None:
        assert case.holds(values) == holds
        assert case.calls == ([1],) * len(values)


def test_small_arithmetic_in_arguments_is_done_at_once() -> None:
    (case,) = cases("assert f([0] * 3, 'a' + 'b', -(3 * 19), 2 ** 8, {1: {2}}, (7 // 2, 1 / 4)) == 7 % 4")
    assert case.calls == ([[0, 0, 0], "ab", -57, 256, {1: {2}}, (3, 0.25)],)
    assert case.holds([3])


def test_a_check_function_is_taken_apart_where_it_is_a_list_of_asserts() -> None:
    check = """
METADATA = {'author': 'x'}
def check(candidate):
    assert True, 'for show'
    assert candidate(1) == 2, 'why'
    print
    assert f(2) == 3
check(f)
"""
    one, two = cases(check)
    assert [one.show(), two.show()] == [("f(1)", "2"), ("f(2)", "3")]


def test_other_tests_run_whole_and_their_asserts_say_what_they_saw() -> None:
    setup = "def helper(x):\n    return x\ndef f(x):\n    '''Asked for.'''"
    check = "def check(g):\n    for x in range(3):\n        assert g(x) == helper(x), 'why'\n        assert x < 2"
    (case,) = cases(check, setup=setup)
    assert isinstance(case, ScriptCase)
    assert "def f(" not in case.source
    with pytest.raises(AssertionError, match=r"^g\(x\) == helper\(x\): got 5, expected 1$"):
        exec(case.source, {"candidate": lambda x: x and 5})
    with pytest.raises(AssertionError, match=r"^x < 2: got 2, expected 2$"):
        exec(case.source, {"candidate": lambda x: x})


def test_tests_that_name_one_unknown_function_name_the_entry_point() -> None:
    tests = parsed(
        testtype="code", inputs=["import math\nassert math.isclose(area(1), abs(-3))", "assert area(2) == 12"]
    )
    assert tests.fn_name == "area"


def test_human_eval_rows_become_one_input_an_assert() -> None:
    row = {
        "prompt": "import re\n\ndef helper():\n    return 1\n\ndef f(x):\n    '''Doc.'''\n",
        "entry_point": "f",
        "test": "def check(candidate):\n    assert candidate('a' * 2) == 1\n    assert not candidate('b')\n",
    }
    assert json.loads(human_eval_tests(row)) == {
        "testtype": "code",
        "fn_name": "f",
        "inputs": ["assert f('a' * 2) == 1", "assert not f('b')"],
        "outputs": [],
        "setup": "import re\n\ndef helper():\n    return 1",
    }


def test_shown_falls_back_to_the_whole_assert() -> None:
    (case,) = cases("assert not f(1)")
    assert case.show() == ("assert not f(1)", None)
    assert isinstance(case.test, ast.UnaryOp)


def parsed_from_below(depth: int, text: str) -> int:
    return parsed_from_below(depth - 1, text) if depth else len(parse_tests(text).cases)


def test_tests_can_be_read_in_many_threads() -> None:
    """CPython 3.11's ast.parse raises SystemError when a garbage collection lets another one in."""
    snippet = "\n".join(f"assert f([{number}, (1, {{2: 'x'}})]) == 3 * {number}" for number in range(30))
    texts = [json.dumps({"testtype": "code", "inputs": [snippet], "time_limit": 1 + number}) for number in range(12)]

    def let_others_in(phase: str, info: dict[str, int]) -> None:
        time.sleep(0)

    thresholds = gc.get_threshold()
    gc.set_threshold(100)
    gc.callbacks.append(let_others_in)
    try:
        with ThreadPoolExecutor(4) as threads:
            assert set(threads.map(parsed_from_below, range(12), texts)) == {30}
    finally:
        gc.callbacks.remove(let_others_in)
        gc.set_threshold(*thresholds)
