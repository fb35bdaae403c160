"""The code verifier: its promises on a sandbox with scripted outcomes, then real programs in each real one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopd.sandbox import Limits, Outcome, Program, Sandbox
from mopd.settings.verify import VerifySettings
from mopd.verifiers import Problem, Verdict
from mopd.verifiers.code.program import PRELUDE
from mopd.verifiers.code.verifier import code
from tests.mopd.verifiers.code.code_sandboxes import BACKENDS, opened


class Scripted(Sandbox, Program):
    """Gives the outcomes one by one, and keeps all that it was given."""

    backend, policy_digest, num_slots = "scripted", "0" * 12, 1

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.given: list[Any] = []
        self.num_loaded = self.num_held = 0
        self.limits: list[Limits] = []

    def call(self, name: str, args: list[Any]) -> Outcome:
        self.given.append((name, args))
        return self.outcomes.pop(0)

    def run(self, source: str, stdin: str, limits: Limits) -> Outcome:
        self.given.append((source, stdin))
        self.limits.append(limits)
        return self.outcomes.pop(0)

    @contextmanager
    def load(self, source: str, limits: Limits) -> Iterator[Program]:
        self.given.append(source)
        self.num_loaded += 1
        self.num_held += 1
        try:
            yield self
        finally:
            self.num_held -= 1

    def run_tests(
        self, source: str, tests: str, entry_point: str, limits: Limits, further: tuple[str, ...] = ()
    ) -> Outcome:
        assert self.num_held == 0, "a script would wait for a sandbox that is held"
        self.given.append((source, entry_point))
        return self.outcomes.pop(0)

    def close(self) -> None: ...


def ok(*values: Any) -> list[Outcome]:
    return [Outcome("ok", value) for value in values]


FAILED = Outcome("infrastructure_error", error="no room")


def judge(sandbox: Sandbox, program: str, *, reward: Any = "all", **tests: Any) -> Verdict:
    problem = Problem(tests=json.dumps({"outputs": [], **tests}))
    return code(f"So:\n```python\n{program}\n```\n", problem, sandbox, VerifySettings(code_reward=reward))


def doubling(sandbox: Sandbox, program: str = "def f(x): ...", **changed: Any) -> Verdict:
    """Four tests, of which the second expects 4444."""
    tests = {
        "testtype": "functional",
        "fn_name": "f",
        "inputs": ["1", "2", "3", "4"],
        "outputs": ["2", "4444", "6", "8"],
    }
    return judge(sandbox, program, **(tests | changed))


def test_the_first_failure_ends_the_tests_and_is_told() -> None:
    sandbox = Scripted(*ok(2, 5))
    assert doubling(sandbox) == Verdict(
        0.0,
        "def f(x): ...\n",
        "Wrong answer in test 2 of 4; 1 passed.\nInput: f(2)\nExpected: 4444\nGot: 5",
        "wrong_answer",
    )
    assert (sandbox.num_loaded, sandbox.num_held) == (1, 0)


def test_a_share_runs_all_tests_and_tells_the_first_failure() -> None:
    verdict = doubling(Scripted(*ok(2, 5, 6, 9)), reward="share")
    assert (verdict.reward, verdict.kind) == (0.5, "wrong_answer")
    assert (verdict.feedback or "").startswith("Wrong answer in test 2 of 4; 2 passed.")
    assert doubling(Scripted(*ok(2, 4444, 6, 8)), reward="share") == Verdict(1.0, "def f(x): ...\n", None, "passed")


def test_what_is_expected_never_enters_the_sandbox() -> None:
    sandbox = Scripted(*ok(2, 4444, 6, 8), *ok("9876\n"), *ok(5432))
    doubling(sandbox)
    judge(sandbox, "", testtype="stdin", inputs=["1"], outputs=["9876"])
    judge(sandbox, "x", testtype="code", inputs=["assert f(1) == 5432"])
    assert not any(secret in repr(sandbox.given) for secret in ("4444", "9876", "5432"))


def test_a_sandbox_that_fails_is_tried_again_and_in_the_end_there_is_no_reward() -> None:
    assert doubling(Scripted(FAILED, FAILED, *ok(2), FAILED, *ok(4444, 6, 8))).reward == 1.0
    sandbox = Scripted(*ok(2), FAILED, FAILED, FAILED)
    assert doubling(sandbox, reward="share") == Verdict(
        None, "def f(x): ...\n", None, "infrastructure_error", "the sandbox failed 3 times in a row: no room"
    )
    assert sandbox.num_held == 0


def test_a_tasks_time_limit_goes_before_the_settings() -> None:
    sandbox = Scripted(*ok("", ""))
    for limit in (2.5, None):
        judge(sandbox, "pass", testtype="stdin", inputs=[""], outputs=[""], time_limit=limit)
    assert [limits.cpu_seconds for limits in sandbox.limits] == [2.5, VerifySettings().limits.cpu_seconds]


@pytest.mark.parametrize(
    ("outcome", "feedback"),
    [
        (
            Outcome("timeout", error="over 6 s"),
            "Time limit exceeded (6 s) in test 1 of 4; 0 passed.\n*\nError: over 6 s",
        ),
        (Outcome("output_limit"), "Too much output (more than 64 KiB) in test 1 of 4; 0 passed.\n*"),
        (Outcome("crashed"), "The process ended before it answered in test 1 of 4; 0 passed.\n*"),
        (Outcome("protocol_error"), "What came back can't be read as a value in test 1 of 4; 0 passed.\n*"),
        (
            Outcome("runtime_error", error="IndexError: list index out of range", line=PRELUDE.count("\n") + 3),
            "Runtime error in test 1 of 4; 0 passed.\n*\nError: IndexError: list index out of range\n"
            "At line 2 of the program: return [][x]",
        ),
    ],
)
def test_each_kind_of_failure_is_told(outcome: Outcome, feedback: str) -> None:
    verdict = doubling(Scripted(outcome), "def f(x):\n    return [][x]")
    assert verdict.feedback == feedback.replace("*", "Input: f(1)\nExpected: 2")
    assert (verdict.reward, verdict.kind) == (0.0, outcome.status)


def test_a_reply_without_a_program_is_told_the_format() -> None:
    problem = Problem(tests=json.dumps({"testtype": "functional", "fn_name": "f", "inputs": ["1"], "outputs": ["1"]}))
    verdict = code("def f(x): return x", problem, Scripted(), VerifySettings())
    assert (verdict.reward, verdict.prediction, verdict.kind) == (0.0, None, "no_program")
    assert "```python\n# a program that defines the function f\n```" in (verdict.feedback or "")


def test_scripts_and_calls_take_turns_without_holding_a_sandbox() -> None:
    inputs = ["assert f(1) == 1", "for x in range(2):\n    assert f(x) == x", "assert f(2) == 2\nassert f(3) == 3"]
    sandbox = Scripted(*ok(1, None, 2, 4))
    verdict = judge(sandbox, "def f(x): ...", testtype="code", inputs=inputs)
    assert verdict.feedback == "Wrong answer in test 4 of 4; 3 passed.\nInput: f(3)\nExpected: 3\nGot: 4"
    assert sandbox.num_loaded == 2


def test_an_assert_over_a_value_of_the_wrong_type_is_a_wrong_answer() -> None:
    verdict = judge(Scripted(*ok(None)), "", testtype="code", inputs=["assert abs(f(1) - 0.5) < 1e-6"])
    assert verdict.kind == "no_program"
    verdict = judge(Scripted(*ok(None)), "x", testtype="code", inputs=["assert abs(f(1) - 0.5) < 1e-6"])
    assert verdict.kind == "wrong_answer"
    assert verdict.feedback == dedent("""\
        Wrong answer in test 1 of 1; 0 passed.
        Input: assert abs(f(1) - 0.5) < 1e-06
        Got: None
        Error: TypeError: unsupported operand type(s) for -: 'NoneType' and 'float'""")


def test_a_failed_script_says_what_its_assert_saw() -> None:
    outcome = Outcome("runtime_error", error="AssertionError: f(x) == x: got 2, expected 1")
    verdict = judge(Scripted(outcome), "x", testtype="code", inputs=["for x in [1]:\n    assert f(x) == x"])
    assert verdict.kind == "wrong_answer"
    assert verdict.feedback == (
        "Wrong answer in test 1 of 1; 0 passed.\nInput: assert f(x) == x: got 2, expected 1"
    )  # fmt: skip


TEXTS = st.text(max_size=80) | st.text(max_size=80).map(lambda text: f"```\n{text}\n```")


@given(TEXTS, st.one_of(st.none(), st.integers(max_value=-1), st.text(), st.lists(st.booleans())))
def test_no_reply_and_no_value_breaks_the_verifier_or_is_rewarded(text: str, value: Any) -> None:
    problem = Problem(tests=json.dumps({"testtype": "functional", "fn_name": "f", "inputs": ["1"], "outputs": ["7"]}))
    assert code(text, problem, Scripted(*ok(value)), VerifySettings()).reward == 0.0


# Real sandboxes


@pytest.fixture(scope="module", params=BACKENDS)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with opened(request.param) as sandbox:
        yield sandbox


REAL = {
    "a method of Solution with what judges import": (
        """
        class Solution:
            def f(self, xs: List[int], k: int) -> Optional[int]:
                heap = [-x for x in xs]
                heapify(heap)
                return -nsmallest(k, heap)[-1] + pow(2, 3, 5) - 3
        """,
        {"testtype": "functional", "fn_name": "f", "inputs": ["[3, 1, 2]\n2", [[5], 1]], "outputs": ["2", 5]},
        "passed",
        None,
    ),
    "stdin": (
        """
        n = int(input())
        print(*sorted(map(float, input().split())))
        """,
        {"testtype": "stdin", "inputs": ["3\n3 1 2\n"], "outputs": ["1 2 3\n"]},
        "passed",
        None,
    ),
    "True for 1": (
        "def f(x): return True",
        {"testtype": "functional", "fn_name": "f", "inputs": ["1"], "outputs": ["1"]},
        "wrong_answer",
        "Got: True",
    ),
    "tuples of asserts": (
        "def f(x): return (x, {x: None})",
        {"testtype": "code", "inputs": ["assert f(1) == (1, {1: None})", "assert f(2) == [2, {2: None}]"]},
        "wrong_answer",
        "test 2 of 2",
    ),
    "the line of an error": (
        "import math\ndef f(x):\n    y = 0\n    return x / y",
        {"testtype": "functional", "fn_name": "f", "inputs": ["1"], "outputs": ["1"]},
        "runtime_error",
        "Error: ZeroDivisionError: division by zero\nAt line 4 of the program: return x / y",
    ),
    "the line of a syntax error": (
        "def f(x):\n    if x:\n    return x",
        {"testtype": "functional", "fn_name": "f", "inputs": ["1"], "outputs": ["1"]},
        "runtime_error",
        "Error: IndentationError: expected an indented block after 'if' statement on line 2\n"
        "At line 3 of the program: return x",
    ),
    "no such function": (
        "def g(x): return x",
        {"testtype": "functional", "fn_name": "f", "inputs": ["1"], "outputs": ["1"]},
        "runtime_error",
        "'f'",
    ),
    "a deep recursion": (
        "def f(x): return 0 if x == 0 else 1 + f(x - 1)",
        {"testtype": "functional", "fn_name": "f", "inputs": ["9000"], "outputs": ["9000"]},
        "passed",
        None,
    ),
    "a script with helpers": (
        "def decode(s): return encode(s) if s else s",
        {
            "testtype": "code",
            "setup": "def encode(s):\n    return s[::-1]\ndef decode(s):\n    '''Asked for.'''",
            "fn_name": "decode",
            "inputs": ["def check(candidate):\n    for s in ['', 'ab']:\n        assert candidate(encode(s)) == s"],
        },
        "passed",
        None,
    ),
    "a script that names a method": (
        "class Solution:\n    def f(self, x): return 2 * x",
        {
            "testtype": "code",
            "fn_name": "f",
            "inputs": ["for x in range(2):\n    assert f(x) == candidate(x) == x + x"],
        },
        "passed",
        None,
    ),
    "a script that fails": (
        "def f(x): return x + 1",
        {"testtype": "code", "fn_name": "f", "inputs": ["for x in range(2):\n    assert f(x) == x"]},
        "wrong_answer",
        "Input: assert f(x) == x: got 1, expected 0",
    ),
    "an assert of the program, met by a script": (
        "def f(x):\n    assert x\n    return x",
        {"testtype": "code", "fn_name": "f", "inputs": ["for x in range(2):\n    assert f(x) == x"]},
        "runtime_error",
        "Input: for x in range(2):\n    assert f(x) == x\nError: AssertionError\nAt line 2 of the program: assert x",
    ),
    "an error within a script": (
        "def f(x):\n    return [][x]",
        {"testtype": "code", "fn_name": "f", "inputs": ["for x in range(2):\n    assert f(x) == x"]},
        "runtime_error",
        "At line 2 of the program: return [][x]",
    ),
    "endless": (
        "while True: pass",
        {"testtype": "stdin", "inputs": [""], "outputs": [""], "time_limit": 0.2},
        "timeout",
        "Time limit exceeded (0.2 s)",
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_real_programs(sandbox: Sandbox, name: str) -> None:
    program, tests, kind, told = REAL[name]
    verdict = judge(sandbox, dedent(program).strip(), **tests)
    assert (verdict.kind, verdict.reward) == (kind, 1.0 if kind == "passed" else 0.0), verdict
    assert verdict.feedback is None if told is None else told in (verdict.feedback or "")


def test_a_program_that_ends_its_process_fails_one_test_alone(sandbox: Sandbox) -> None:
    program = "import os\ndef f(x):\n    if x == 2:\n        os._exit(0)\n    return 2 * x"
    verdict = doubling(sandbox, program, reward="share")
    assert (verdict.reward, verdict.kind) == (0.75, "crashed")
