"""Whether tests can fail at all: shown before a run begins, by programs that solve nothing.

A program that ends when its function is called must fail each snippet that is run; and one whose function returns None
and one whose function returns an object that equals nothing must not both pass all tests. What was shown is kept in the
cache folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from mopd.errors import InputError
from mopd.models.embedded import cache_folder
from mopd.sandbox import Limits, Sandbox, open_sandbox
from mopd.settings.verify import VerifySettings
from mopd.verifiers.base import Problem
from mopd.verifiers.code.asserts import Assertion
from mopd.verifiers.code.bad_tests import BadTests
from mopd.verifiers.code.feedback import Failure
from mopd.verifiers.code.program import Submission
from mopd.verifiers.code.run import Run
from mopd.verifiers.code.scripts import ScriptCase
from mopd.verifiers.code.tests import FIELDS, Case, CodeTests, StdinCase, parse_tests

ENDS = "import os\ndef {name}(*args, **kwargs):\n    os._exit(0)\n"
NOTHING = "def {name}(*args, **kwargs):\n    return None\n"
ODD = """
class Odd:
    def __eq__(self, other):
        return False
    def __ne__(self, other):
        return True
    __hash__ = object.__hash__
def {name}(*args, **kwargs):
    return Odd()
"""
FURTHER = "class {name}(Exception):\n    pass\n"
VERSION = 1
UNABLE = ("CantJudge", "ModuleNotFoundError", "ImportError", "FixtureLookupError")
"""Errors of tests that say nothing about a program."""
TELL_SECONDS = 10.0
"""How often it is told how far a long proof of many tasks has come."""


class Odd:
    """A value that equals nothing."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = object.__hash__


class Prover:
    """Proves tests in a sandbox, opened for the first that needs one and closed at the end."""

    def __init__(self, settings: VerifySettings) -> None:
        self.settings = settings
        self._sandbox: Sandbox | None = None
        self._has_none = False
        self._num_shown = 0
        self._told = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._sandbox is not None:
            self._sandbox.close()

    def problem(self, problem: Problem, name: str) -> str | None:
        """What is wrong with a problem's tests, in one line; None when they can tell programs apart."""
        if problem.tests is None:
            return f"tests: missing, and {name} runs them; give JSON with {', '.join(FIELDS[:3])} ..."
        try:
            tests = parse_tests(problem.tests, self.settings.packages)
        except BadTests as error:
            return str(error)
        outputs = [case.expected for case in tests.cases if isinstance(case, StdinCase)]
        if outputs and not any(output.strip() for output in outputs):
            return "tests.outputs: all blank, and a program that does nothing would pass; give what is printed"
        return self._unprovable(tests) if tests.testtype == "code" else None

    def _unprovable(self, tests: CodeTests) -> str | None:
        undecided = _passes_outside(tests, None) and _passes_outside(tests, Odd())
        scripts = [case for case in tests.cases if isinstance(case, ScriptCase)]
        if not scripts:
            return NO_DIFFERENCE if undecided else None
        if not undecided and all(case.calls for case in scripts):
            return None
        sandbox = self._opened()
        if sandbox is None:  # a run is refused for that, where it begins
            return None
        kept = _Kept(tests, sandbox.policy_digest)
        if not kept.is_known():
            kept.keep(_find_weakness(tests, scripts, undecided, sandbox, Limits.of(self.settings.limits)))
            self._tell()
        return kept.problem

    def _tell(self) -> None:
        self._num_shown += 1
        if time.monotonic() - self._told > TELL_SECONDS:
            print(f"mopd: tried the tests of {self._num_shown} code tasks", file=sys.stderr, flush=True)
            self._told = time.monotonic()

    def _opened(self) -> Sandbox | None:
        if self._sandbox is None and not self._has_none:
            try:
                self._sandbox = open_sandbox(self.settings.model_copy(update={"sandbox_slots": 1}))
            except InputError:
                self._has_none = True
        return self._sandbox


NO_DIFFERENCE = (
    "tests.inputs: a program whose function returns None passes them, and so does one that returns any object; "
    "assert what should come back"
)


def check_tests(problem: Problem, name: str, prover: Prover | None = None) -> str | None:
    """The tests must be there, be of a form that the verifier knows, and be able to fail.

    `prover` goes on to other tasks; without one, the settings are those by default.
    """
    if prover is not None:
        return prover.problem(problem, name)
    with Prover(VerifySettings()) as own:
        return own.problem(problem, name)


def _passes_outside(tests: CodeTests, value: Any) -> bool:
    """Whether all single asserts hold when each call returns the value."""
    return all(_holds(case, value) for case in tests.cases if isinstance(case, Assertion))


def _holds(case: Assertion, value: Any) -> bool:
    try:
        return case.holds([value] * len(case.calls))
    except Exception:  # whatever an operator makes of it: the assert fails
        return False


def _find_weakness(
    tests: CodeTests, scripts: list[ScriptCase], undecided: bool, sandbox: Sandbox, limits: Limits
) -> str | None:
    """What programs that solve nothing show of the tests. Raises InputError where the sandbox fails."""
    further = "".join(FURTHER.format(name=name) for name in sorted({name for case in scripts for name in case.further}))
    ends, nothing, odd = (further + program.format(name=tests.fn_name) for program in (ENDS, NOTHING, ODD))
    for case in (case for case in scripts if not case.calls):
        alone = replace(tests, cases=(case,))
        failure = _failure(ends, alone, sandbox, limits)
        if failure is None:
            return f"tests.inputs[{case.number}]: never calls {tests.fn_name}; call it, and assert what comes back"
        error = failure.error or ""
        if failure.kind != "runtime_error" or failure.line is not None:
            continue
        trials = [_failure(program, alone, sandbox, limits) for program in (nothing, odd)]
        if error.startswith(UNABLE) or all(trial is not None and trial.error == error for trial in trials):
            return f"tests.inputs[{case.number}]: fails whatever the program does ({error}); mend it"
    if undecided and all(_failure(program, tests, sandbox, limits) is None for program in (nothing, odd)):
        return NO_DIFFERENCE
    return None


def _failure(program: str, tests: CodeTests, sandbox: Sandbox, limits: Limits) -> Failure | None:
    """The first test that the program fails."""
    limits = replace(limits, cpu_seconds=tests.time_limit or limits.cpu_seconds)
    with closing(Run(Submission(program, tests.setup), tests, sandbox, limits).failures()) as failures:
        for failure in failures:
            if failure is not None:
                if failure.kind == "infrastructure_error":
                    raise InputError(f"verify.sandbox: failed while tests were checked ({failure.error}); try again")
                return failure
    return None


class _Kept:
    """What was shown of a task's tests, in a file named by all that it depends on."""

    def __init__(self, tests: CodeTests, policy_digest: str) -> None:
        cases = [case.source if isinstance(case, ScriptCase) else _text(case) for case in tests.cases]
        programs = [ENDS, NOTHING, ODD, FURTHER]
        content: list[Any] = [VERSION, programs, policy_digest, tests.fn_name, tests.setup, tests.time_limit, cases]
        name = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
        self.path = cache_folder() / "proofs" / f"{name}.json"
        self.problem: str | None = None

    def is_known(self) -> bool:
        """Whether it was shown before; then `problem` is what was found. A file that was not written whole is none."""
        try:
            problem = json.loads(self.path.read_text(encoding="utf-8"))["problem"]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        self.problem = problem
        return problem is None or isinstance(problem, str)

    def keep(self, problem: str | None) -> None:
        """Written aside and renamed; a cache folder that can't be written costs time alone."""
        self.problem = problem
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, aside = tempfile.mkstemp(dir=self.path.parent, prefix="_")
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"problem": problem}, file)
            Path(aside).replace(self.path)


def _text(case: Case) -> str:
    return repr(case.show() if isinstance(case, Assertion) else case)
