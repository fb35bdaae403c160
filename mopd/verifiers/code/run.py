"""Runs a program on its tests in a sandbox, and says of each what failed."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mopd.sandbox import Limits, Outcome, Program, Sandbox
from mopd.verifiers.code.asserts import Assertion
from mopd.verifiers.code.compare import same_output, same_value
from mopd.verifiers.code.feedback import Failure, show
from mopd.verifiers.code.program import Submission
from mopd.verifiers.code.scripts import ScriptCase, make_script
from mopd.verifiers.code.tests import CallCase, Case, CodeTests, StdinCase

ATTEMPTS = 3
"""Times a test is tried when the sandbox itself fails."""


class NeedsInterpreter(Exception):
    """A call brought a value that is no plain data: what an assert says of it, Python alone can tell."""


class Loaded:
    """The program of a run as long as calls follow each other."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._held = ExitStack()
        self._program: Program | None = None

    def get(self) -> Program:
        """The program, loaded where it is not."""
        if self._program is None:
            opening = self._run.sandbox.load(self._run.submission.source, self._run.limits)
            self._program = self._held.enter_context(opening)
        return self._program

    def put_away(self) -> None:
        """Gives back what the program holds."""
        self._held.close()
        self._program = None


@dataclass(frozen=True)
class Run:
    """One program and its tests."""

    submission: Submission
    tests: CodeTests
    sandbox: Sandbox
    limits: Limits

    def failures(self) -> Generator[Failure | None, None, None]:
        """For each test in turn what failed, or None.

        The program is loaded once for all calls that follow each other. It is put away before a script or a whole run,
        which takes sandboxes of its own and must not wait for one that is held here.
        """
        program = Loaded(self)
        try:
            for case in self.tests.cases:
                yield self._failure(case, program)
        finally:
            program.put_away()

    def _failure(self, case: Case, program: Loaded) -> Failure | None:
        if isinstance(case, CallCase):
            return self._call(case, program.get())
        try:
            if isinstance(case, Assertion):
                return self._assertion(case, program.get())
        except NeedsInterpreter:
            assert isinstance(case, Assertion) and self.tests.fn_name is not None
            case = make_script(case, self.tests.fn_name, self.tests.setup)
        program.put_away()
        return self._stdin(case) if isinstance(case, StdinCase) else self._script(case)

    def _stdin(self, case: StdinCase) -> Failure | None:
        outcome = _try(lambda: self.sandbox.run(self.submission.source, case.stdin, self.limits))
        if outcome.status != "ok":
            return self._failed(outcome, case.stdin, case.expected)
        if same_output(outcome.value, case.expected):
            return None
        return Failure("wrong_answer", case.stdin, case.expected, outcome.value)

    def _call(self, case: CallCase, program: Program) -> Failure | None:
        outcome = self._value(program, case.args)
        if outcome.status == "ok" and same_value(outcome.value, case.expected):
            return None
        call = f"{self.tests.fn_name}({', '.join(map(show, case.args))})"
        if outcome.status != "ok":
            return self._failed(outcome, call, show(case.expected))
        return Failure("wrong_answer", call, show(case.expected), show(outcome.value))

    def _assertion(self, case: Assertion, program: Program) -> Failure | None:
        values = []
        for args in case.calls:
            outcome = self._value(program, args)
            if outcome.status != "ok":
                return self._failed(outcome, *case.show())
            if not outcome.exact:
                raise NeedsInterpreter
            values.append(outcome.value)
        try:
            if case.holds(values):
                return None
            error = None
        except Exception as raised:  # an operator met a value that it is not made for: the test's own failure
            error = f"{type(raised).__name__}: {raised}"
        return Failure("wrong_answer", *case.show(), got=", ".join(map(show, values)), error=error)

    def _script(self, case: ScriptCase) -> Failure | None:
        source = self.submission.source
        outcome = _try(lambda: self.sandbox.run_tests(source, case.source, self._function, self.limits, case.further))
        if outcome.status == "ok":
            return None
        kind, _, asserted = (outcome.error or "").partition(": ")
        if outcome.status == "runtime_error" and kind == "AssertionError" and outcome.line is None:  # not the program's
            return Failure("wrong_answer", f"assert {asserted}" if asserted else case.text)
        return self._failed(outcome, case.text, None)

    def _value(self, program: Program, args: list[Any]) -> Outcome:
        return _try(lambda: program.call(self._function, args))

    @cached_property
    def _function(self) -> str:
        """The function that tests call, as the program has it."""
        assert self.tests.fn_name is not None, "tests that call a function name it"
        return self.submission.callable_name(self.tests.fn_name)

    def _failed(self, outcome: Outcome, call: str, expected: str | None) -> Failure:
        """What an outcome without a value says, in lines of the program as the reply has it."""
        line = self.submission.line(outcome.line)
        text = self.submission.line_text(line) if line else None
        return Failure(
            outcome.status, call, expected, error=self.submission.own_lines(outcome.error), line=line, line_text=text
        )


def _try(execute: Callable[[], Outcome]) -> Outcome:
    """The outcome, tried again while the sandbox itself fails."""
    outcome = execute()
    for _ in range(ATTEMPTS - 1):
        if outcome.status != "infrastructure_error":
            break
        outcome = execute()
    return outcome
