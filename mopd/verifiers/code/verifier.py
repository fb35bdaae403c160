"""The verifier of programs: the block of the reply that holds it is run on each test of its task, in a sandbox.

What is expected stays outside of the sandbox. Inputs go in one at a time, and what comes back is compared here; tests
that need an interpreter run in a second sandbox, which calls the program in the first. A test that ends the process
fails alone: the next one starts the program again.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from mopd.sandbox import Limits, Sandbox
from mopd.verifiers.base import Problem, Verdict, verifier
from mopd.verifiers.code.blocks import find_program
from mopd.verifiers.code.feedback import ask_for_program, describe
from mopd.verifiers.code.program import PRELUDE, Submission
from mopd.verifiers.code.proof import check_tests
from mopd.verifiers.code.run import ATTEMPTS, Run
from mopd.verifiers.code.tests import parse_tests

if TYPE_CHECKING:
    from mopd.settings.verify import VerifySettings


@verifier(check=check_tests, sandboxed=True)
def code(text: str, problem: Problem, sandbox: Sandbox, settings: VerifySettings) -> Verdict:
    """1 when every test passes (`code_reward: all`), or the share that does (`share`); the first failure is told."""
    tests = parse_tests(problem.tests or "", settings.packages)
    program = find_program(text, tests.fn_name)
    if program is None:
        return Verdict(0.0, None, ask_for_program(tests.testtype, tests.fn_name), "no_program")
    head = tests.setup if tests.testtype == "code" else f"{PRELUDE}\n{tests.setup}".strip()
    limits = Limits.of(settings.limits)
    limits = replace(limits, cpu_seconds=tests.time_limit or limits.cpu_seconds)
    return _verdict(Run(Submission(program, head), tests, sandbox, limits), share=settings.code_reward == "share")


def _verdict(run: Run, *, share: bool) -> Verdict:
    """Runs the tests: all of them for a `share`, else up to the first failure."""
    program, num_tests = run.submission.text, len(run.tests.cases)
    failed = {}
    with closing(run.failures()) as failures:
        for number, failure in enumerate(failures, start=1):
            if failure is None:
                continue
            if failure.kind == "infrastructure_error":
                error = f"the sandbox failed {ATTEMPTS} times in a row: {failure.error}"
                return Verdict(None, program, None, failure.kind, error)
            failed[number] = failure
            if not share:
                break
    if not failed:
        return Verdict(1.0, program, None, "passed")
    first = min(failed)
    num_passed = num_tests - len(failed) if share else first - 1
    limit = _limit(failed[first].kind, run.limits)
    feedback = describe(failed[first], number=first, num_tests=num_tests, num_passed=num_passed, limit=limit)
    return Verdict(num_passed / num_tests if share else 0.0, program, feedback, failed[first].kind)


def _limit(kind: str, limits: Limits) -> str | None:
    if kind == "timeout":
        return f"{limits.cpu_seconds:g} s"
    return f"more than {limits.output_bytes >> 10} KiB" if kind == "output_limit" else None
