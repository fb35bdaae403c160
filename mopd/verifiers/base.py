"""What a verifier is, and how one is found: by its name in the registry, or as `package.module:function`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, NamedTuple

from mopd.errors import InputError
from mopd.registry import Registry


@dataclass(frozen=True)
class Problem:
    """What a reply is judged against."""

    answer: str = ""
    """The expected answer; empty where there is none, as for code."""
    tests: str | None = None
    """Tests of a code task, as JSON text (see `mopd.verifiers.code.tests`)."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """The task's own metadata."""


class Verdict(NamedTuple):
    """What a verifier says of one reply."""

    reward: float | None
    """Finite; 1.0 is a full success. None when the reply could not be judged (then `error` says why)."""
    prediction: str | None = None
    """The answer found in the reply; None when there is none."""
    feedback: str | None = None
    """What is wrong, in words that help to do better, never the expected answer of a question; None when nothing is."""
    kind: str | None = None
    """For code: passed, wrong_answer, runtime_error, crashed, timeout, output_limit, protocol_error, no_program,
    infrastructure_error. None elsewhere."""
    error: str | None = None
    """Why there is no reward."""


Judge = Callable[..., Verdict]
"""(reply text, Problem) -> Verdict; a sandboxed one is `(reply text, Problem, Sandbox, VerifySettings) -> Verdict`."""

ProblemCheck = Callable[..., str | None]
"""(problem, verifier's name) -> field, what is wrong and the fix, in one line ("answer: ..."); None for a good one.
That of a sandboxed verifier may be given the prover of tasks that are read together (`mopd.verifiers.code.proof`)."""


@dataclass(frozen=True)
class Verifier:
    """A judge with what has to be known before it is called."""

    name: str
    judge: Judge
    check: ProblemCheck | None = None
    """Refuses problems that it can't judge, when tasks are loaded."""
    sandboxed: bool = False
    """Whether it runs what the model wrote, and so needs a sandbox."""
    packages: tuple[str, ...] = ()
    """Installed packages whose versions decide its verdicts too."""
    guarded: bool = False
    """Whether it asks a process of its own (`mopd.verifiers.guard`), and so may judge several replies at once."""

    def find_problem(self, problem: Problem, prover: Any) -> str | None:
        """What of a problem it can't judge: field, what is wrong and the fix, in one line; None for a good one.

        `prover`: of tasks that are read together, asked by a sandboxed verifier (`mopd.verifiers.code.proof`).
        """
        wrong = self.check(problem, self.name, *([prover] if self.sandboxed else [])) if self.check else None
        if wrong is None:
            return None
        field = wrong.partition(":")[0]
        given = {"answer": problem.answer, "tests": problem.tests}
        return wrong if given.get(field, wrong) else f"{field}: missing; add it"


VERIFIERS: Registry[Verifier] = Registry("verifier")


def verifier(
    *,
    check: ProblemCheck | None = None,
    sandboxed: bool = False,
    packages: tuple[str, ...] = (),
    guarded: bool = False,
) -> Callable[[Judge], Judge]:
    """Registers a judge under its function's name."""

    def register(function: Judge) -> Judge:
        VERIFIERS.add(function.__name__, Verifier(function.__name__, function, check, sandboxed, packages, guarded))
        return function

    return register


def find_verifier(name: str) -> Verifier:
    """The verifier of that name, or the function `package.module:function`. Raises InputError when there is none."""
    if name in VERIFIERS:
        return VERIFIERS[name]
    if ":" in name:
        return Verifier(name, load_function(name, "a verifier"))
    raise InputError(f"{VERIFIERS.unknown(name)}, or name a function of yours as package.module:function")


def load_function(name: str, role: str) -> Callable[..., Any]:
    """The function `package.module:function`. Raises InputError when it can't be imported."""
    module_name, _, function_name = name.partition(":")
    try:
        function = getattr(import_module(module_name), function_name)
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        raise InputError(
            f"{name!r} can't be imported as {role} ({' '.join(str(error).split())}); write it as "
            "package.module:function, and see that the module is on PYTHONPATH"
        ) from error
    if not callable(function):
        raise InputError(f"{name!r} is no function; {role} is wanted")
    return function  # type: ignore[no-any-return]
