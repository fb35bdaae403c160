"""Python tests of a code task: told apart into single asserts, or made ready to run whole."""

from __future__ import annotations

import ast
import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mopd.verifiers.code import script_runners
from mopd.verifiers.code.asserts import Assertion, find_check, is_call_of, read_assert, split_asserts
from mopd.verifiers.code.bad_tests import BadTests
from mopd.verifiers.code.script_checks import check_that_it_tests
from mopd.verifiers.code.script_entries import Entries, as_main, find_entries, surely_calls
from mopd.verifiers.code.script_names import (
    Names,
    check_names,
    defined,
    lacking_import,
    lacks,
    loaded,
    parsed,
    unknown_calls,
    without_program_imports,
)
from mopd.verifiers.parsing import parse


@dataclass(frozen=True)
class ScriptCase:
    """Tests that need an interpreter."""

    source: str
    """What is run: after the set-up, with what calls the tests, and asserts that say what they saw."""
    text: str
    """As the task has it."""
    further: tuple[str, ...] = ()
    """Names of the program that it uses besides the entry point."""
    number: int = 0
    """Which of the task's inputs it is."""
    calls: bool = False
    """Whether its text alone shows that it calls the program, so that one without the function fails."""


def read_scripts(inputs: list[Any], names: Names, setup: str) -> Iterator[Assertion | ScriptCase]:
    """Each assert by itself where that is possible; else the whole snippet, after `setup`, is one case.

    Raises BadTests.
    """
    for number, source in enumerate(inputs):
        where = f"inputs[{number}]"
        module = as_main(without_program_imports(parsed(source, where), names, where))
        helpers = defined(ast.parse(setup))
        check_that_it_tests(module, names, helpers, where)
        check_names(module, names, helpers, where)
        entries = find_entries(module, names, where)
        single = _asserts(module, names.entry_point, entries)
        yield from single
        if not single:
            yield _script(module, entries, names, setup, source, number)


def make_script(assertion: Assertion, fn_name: str, setup: str) -> ScriptCase:
    """An assert as a script: for values that only an interpreter can compare."""
    module = parse(assertion.source)
    return _script(module, Entries(), Names(fn_name, (), frozenset()), setup, assertion.source, 0)


def read_setup(setup: Any, names: Names | None) -> str:
    """Source that stands before program and tests, less what is asked for: HumanEval's prompts begin it.

    `names` are those of the task's tests; None for a program that is run whole. Raises BadTests.
    """
    module = parsed(setup or "", "setup")
    if names is not None:
        module = without_program_imports(module, names, "setup")
        module.body = [node for node in module.body if not _defines(node, names.entry_point)]
    return ast.unparse(module)


def check_imports(setup: str, modules: frozenset[str]) -> None:
    """The set-up stands before the program too, which has no pytest. Raises BadTests."""
    lacking = lacking_import(ast.parse(setup), modules)
    if lacking is not None:
        raise BadTests(f"tests.setup: {lacks(lacking)}")


def called_function(inputs: list[Any], modules: frozenset[str]) -> str:
    """The one function that the tests call and don't define. Raises BadTests when there is not exactly one."""
    modules_of_inputs = [parsed(source, f"inputs[{number}]") for number, source in enumerate(inputs)]
    names = set().union(*(unknown_calls(module, modules) for module in modules_of_inputs))
    if len(names) != 1:
        problem = f"call {', '.join(sorted(names))}" if names else "don't name it"
        raise BadTests(f"tests.fn_name: missing, and the tests {problem}; write the program's function here")
    return names.pop()


def human_eval_tests(row: Mapping[str, str]) -> str:
    """The tests, as JSON text, of a row in HumanEval's form (`prompt`, `test`, `entry_point`).

    Each assert is an input of its own where it can stand alone, so that tests can be counted and some be hidden. Raises
    SyntaxError.
    """
    entry_point, module = row["entry_point"], ast.parse(row["test"])
    check = find_check(module)
    asserts = split_asserts(module, entry_point, [check] if check else [])
    before = re.split(rf"^def {re.escape(entry_point)}\b", row["prompt"], maxsplit=1, flags=re.MULTILINE)[0]
    inputs = [ast.unparse(node) for node in asserts] if asserts else [row["test"]]
    return json.dumps(
        {"testtype": "code", "fn_name": entry_point, "inputs": inputs, "outputs": [], "setup": before.strip()}
    )


def _asserts(module: ast.Module, entry_point: str, entries: Entries) -> list[Assertion]:
    """The snippet as single asserts; empty when it is more than that."""
    if entries.runner != "plain":
        return []
    module = copy.deepcopy(module)  # reading changes it
    names = {node.name for node in entries.called}
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name in names]
    check = find_check(module)
    if check is not None and check not in functions and _is_called_plainly(check.name, module, entry_point):
        functions.append(check)
    read = [read_assert(node, entry_point) for node in split_asserts(module, entry_point, functions) or []]
    single = [case for case in read if case is not None]
    return single if len(single) == len(read) else []


def _is_called_plainly(name: str, module: ast.Module, entry_point: str) -> bool:
    """Whether the snippet calls its check with the program's function, and nothing else does."""
    calls = [node.value for node in module.body if is_call_of(node, name) and isinstance(node, ast.Expr)]
    arguments = [ast.unparse(call)[len(name) :] for call in calls]
    return len(calls) == 1 and arguments[0] in (f"({entry_point})", "(candidate)")


def _script(module: ast.Module, entries: Entries, names: Names, setup: str, text: str, number: int) -> ScriptCase:
    used = loaded(module) | loaded(ast.parse(setup))
    further = tuple(name for name in names.further if name in used)
    futures: list[ast.stmt] = [node for node in module.body if _is_future(node)]
    module.body = [node for node in module.body if node not in futures]
    calls = entries.runner == "plain" and surely_calls(module, names.entry_point)
    for node in entries.called:
        module.body += ast.parse(f"{node.name}({'candidate' if node.args.args else ''})").body
    tests = ast.unparse(ast.fix_missing_locations(_Explained().visit(module)))
    # a method goes by another name where it is called
    head = f"{ast.unparse(ast.Module(futures, []))}\n{setup}\n{names.entry_point} = candidate"
    if entries.runner == "pytest":
        head = head.replace("\n", f"\nfrom names_of_task import {', '.join(['candidate', *further])}\n", 1)
    return ScriptCase(_run_by(entries, names.entry_point, f"{head.lstrip()}\n{tests}"), text, further, number, calls)


def _run_by(entries: Entries, entry_point: str, source: str) -> str:
    """The source that is run for the tests: they themselves, or the runner's with them as text."""
    if entries.runner == "pytest":
        call = f"run_pytest({source!r}, globals(), {entry_point!r})"
    elif entries.runner == "unittest":
        call = f"run_unittest({source!r}, globals(), {entries.cases!r})"
    elif re.search(r"\bpytest\b", source):
        call = f"run_plain({source!r}, globals())"
    else:
        return source
    return f"{_runners()}\n{call}\n"


@cache
def _runners() -> str:
    return Path(script_runners.__file__).read_text(encoding="utf-8")


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _defines(node: ast.stmt, name: str) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == name


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
