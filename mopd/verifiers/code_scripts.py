"""Python tests of a code task: told apart into single asserts, or made ready to run whole."""

from __future__ import annotations

import ast
import builtins
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mopd.verifiers.asserts import Assertion, find_check, is_call_of, read_assert, split_asserts

BUILT_IN = {*dir(builtins), "candidate"}


class BadTests(ValueError):
    """Tests that can't be used: "tests.FIELD: what is wrong; fix"."""


@dataclass(frozen=True)
class ScriptCase:
    """Tests that need an interpreter."""

    source: str
    """What is run: after the set-up, calling its own `check`, with asserts that say what they saw."""
    text: str
    """As the task has it."""
    further: tuple[str, ...] = ()
    """Names of the program that the tests use, beside the function's."""


def read_scripts(inputs: list[Any], fn_name: str, setup: str) -> Iterator[Assertion | ScriptCase]:
    """Each assert by itself where that is possible; else the whole snippet, after `setup`, is one case.

    Raises BadTests.
    """
    helpers = _defined(ast.parse(setup)) | {fn_name}
    for number, source in enumerate(inputs):
        asserts = split_asserts(_parsed_tests(source, number), fn_name)
        read = [read_assert(node, fn_name) for node in asserts or []]
        single = [case for case in read if case is not None]
        if single and len(single) == len(read):
            yield from single
            continue
        module = _parsed_tests(source, number)  # anew: asserts were taken out of the other
        unknown = _unknown_calls(module) - helpers
        if unknown and "*" not in helpers:
            raise BadTests(
                f"tests.inputs[{number}]: calls {min(unknown)}, and only {fn_name} is the program's; define it in "
                "tests.setup"
            )
        yield _script(module, source, fn_name, setup)


def script_of(assertion: Assertion, fn_name: str, setup: str) -> ScriptCase:
    """An assert as a script: for values that only an interpreter can compare."""
    return _script(ast.parse(assertion.source), assertion.source, fn_name, setup)


def read_setup(setup: Any, fn_name: str | None) -> str:
    """Source that stands before program and tests, less the function that is asked for: HumanEval's prompts begin it.

    Raises BadTests.
    """
    module = _parsed(setup or "", "setup")
    module.body = [node for node in module.body if not (isinstance(node, ast.FunctionDef) and node.name == fn_name)]
    return ast.unparse(module)


def called_function(inputs: list[Any]) -> str:
    """The one function that the tests call and don't define. Raises BadTests when there is not exactly one."""
    names = set().union(*(_unknown_calls(_parsed_tests(source, number)) for number, source in enumerate(inputs)))
    if len(names) != 1:
        found = f"call {', '.join(sorted(names))}" if names else "don't name it"
        raise BadTests(f"tests.fn_name: missing, and the tests {found}; write the program's function here")
    return names.pop()


def human_eval_tests(row: Mapping[str, str]) -> str:
    """The tests, as JSON text, of a row in HumanEval's form (`prompt`, `test`, `entry_point`).

    Each assert is an input of its own where it can stand alone, so that tests can be counted and some be hidden. Raises
    SyntaxError.
    """
    entry_point = row["entry_point"]
    asserts = split_asserts(ast.parse(row["test"]), entry_point)
    before = re.split(rf"^def {re.escape(entry_point)}\b", row["prompt"], maxsplit=1, flags=re.MULTILINE)[0]
    inputs = [ast.unparse(node) for node in asserts] if asserts else [row["test"]]
    return json.dumps(
        {"testtype": "code", "fn_name": entry_point, "inputs": inputs, "outputs": [], "setup": before.strip()}
    )


def brief(value: Any) -> str:
    """A value as an error message shows it."""
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _parsed(source: Any, field: str) -> ast.Module:
    if not isinstance(source, str):
        raise BadTests(f"tests.{field}: {brief(source)} is not text; write Python")
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadTests(f"tests.{field}: not Python ({' '.join(str(error).split())}); mend it") from error


def _parsed_tests(source: Any, number: int) -> ast.Module:
    module = _parsed(source, f"inputs[{number}]")
    if not any(isinstance(node, (ast.Assert, ast.Call)) for node in ast.walk(module)):
        raise BadTests(f"tests.inputs[{number}]: tests nothing; write an assert")
    return module


def _script(module: ast.Module, text: str, fn_name: str, setup: str) -> ScriptCase:
    """The tests after their set-up; a method goes by another name where it is called."""
    return ScriptCase(f"{setup}\n{fn_name} = candidate\n{_runnable(module)}", text)


def _unknown_calls(module: ast.Module) -> set[str]:
    calls = [node.func for node in ast.walk(module) if isinstance(node, ast.Call)]
    return {function.id for function in calls if isinstance(function, ast.Name)} - _defined(module) - BUILT_IN


def _defined(module: ast.Module) -> set[str]:
    """Every name that is bound anywhere; "*" for an import of unknown names."""
    nodes = list(ast.walk(module))
    known = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    known |= {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    known |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    return known | {(node.asname or node.name).split(".")[0] for node in nodes if isinstance(node, ast.alias)}


def _runnable(module: ast.Module) -> str:
    """The tests with their asserts explained, and `check` called at the end unless they call it themselves."""
    check = find_check(module)
    if check is not None and not any(is_call_of(node, check.name) for node in module.body):
        module.body += ast.parse(f"{check.name}(candidate)").body
    return ast.unparse(ast.fix_missing_locations(_Explained().visit(module)))


class _Explained(ast.NodeTransformer):
    """Gives each assert a message: its own text and, for a comparison, what it got and expected."""

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        text = repr(ast.unparse(node.test))
        match node.test:
            case ast.Compare(left=left, ops=[_], comparators=[right]):
                sides = ast.parse(f"_got, _expected = {ast.unparse(left)}, {ast.unparse(right)}").body
                node.test.left = ast.Name("_got", ast.Load())
                node.test.comparators = [ast.Name("_expected", ast.Load())]
                message = f"{text} + f': got {{_got!r:.200}}, expected {{_expected!r:.200}}'"
            case _:
                sides, message = [], text
        node.msg = ast.parse(message, mode="eval").body
        return [*sides, node]
