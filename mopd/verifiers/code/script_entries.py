"""Which functions and classes of a test snippet are its tests, and what runs them: as pytest or unittest would."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Literal

from mopd.verifiers.code.bad_tests import BadTests
from mopd.verifiers.code.script_names import Names, defined, loaded

Runner = Literal["plain", "unittest", "pytest"]
CASE_CLASSES = frozenset({"unittest.TestCase", "TestCase", "unittest.case.TestCase"})
ASYNC_CLASSES = frozenset({"unittest.IsolatedAsyncioTestCase", "IsolatedAsyncioTestCase"})
SKIPS = frozenset({"skip", "skipif", "skipIf", "skipUnless", "skipTest", "importorskip", "xfail", "expectedFailure"})
MAINS = frozenset({"unittest.main", "pytest.main"})
AROUND = ("setUp", "tearDown", "setup", "teardown", "addTypeEqualityFunc", "addCleanup")
SETUPS = frozenset({"setup_module", "teardown_module", "setup_function", "teardown_function", "setUpModule"})
"""Functions that pytest calls around test functions."""
NEVER_RUN = "is called by nothing, and its asserts never run; call it"
Function = ast.FunctionDef | ast.AsyncFunctionDef
ACTIVE = (ast.Call, ast.Name, ast.BinOp, ast.Attribute, ast.Subscript)
"""Parts of an expression that may raise."""
SIMPLE = (ast.Assert, ast.Expr, ast.Assign)
Definition = Function | ast.ClassDef


@dataclass
class Entries:
    """What of a snippet is run beside its own statements."""

    called: list[ast.FunctionDef] = field(default_factory=list)
    """Functions that nothing calls: with the program's function where they take an argument."""
    cases: list[str] = field(default_factory=list)
    """Classes for unittest, in their order."""
    needs_pytest: bool = False
    """Whether there are tests that pytest alone can run: with fixtures or marks, or classes without a base."""

    @property
    def runner(self) -> Runner:
        return "pytest" if self.needs_pytest else "unittest" if self.cases else "plain"


def as_main(module: ast.Module) -> ast.Module:
    """The module as it runs as a program: what its main guard holds in place of it, less calls that start a runner."""
    body: list[ast.stmt] = []
    for node in module.body:
        body += node.body if isinstance(node, ast.If) and _is_main_guard(node.test) else [node]
    module.body = [node for node in body if not _starts_runner(node)]
    return module


def find_entries(module: ast.Module, names: Names, where: str) -> Entries:
    """The tests that are not called by the snippet itself. Raises BadTests for those that can't be run plainly."""
    _check_skips(module, where)
    entries = Entries()
    case_classes = _case_classes(module, where)
    reached = _reached(module, [node for node in module.body if not isinstance(node, Definition)])
    for node in module.body:
        if isinstance(node, ast.ClassDef) and _test_methods(node):
            if node.name in case_classes or node.name not in reached:
                _take_class(node, node.name in case_classes, entries, where)
        elif isinstance(node, Function) and node.name not in reached:
            helps = any(node.name in loaded(statement) for statement in module.body if statement is not node)
            _take_function(node, names, entries, where, helps=helps)
    if entries.called and any(isinstance(node, Function) and node.name in SETUPS for node in module.body):
        entries.needs_pytest = True
    if entries.needs_pytest:
        entries.called = [node for node in entries.called if not node.name.startswith("test")]
        if "pytest" not in names.modules:
            raise BadTests(f"tests.{where}: needs pytest, which is not installed here; pip install pytest")
        if any(name.startswith(("test", "Test")) for name in names.program):
            raise BadTests(f"tests.{where}: pytest would take {names.entry_point} for a test; rename it")
    _check_all_run(module, entries, reached, where)
    return entries


def _is_main_guard(test: ast.expr) -> bool:
    match test:
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
            return {ast.unparse(left), ast.unparse(right)} == {"__name__", "'__main__'"}
    return False


def _starts_runner(node: ast.stmt) -> bool:
    calls = [inner.func for inner in ast.walk(node) if isinstance(inner, ast.Call)]
    simple = isinstance(node, (ast.Expr, ast.Raise, ast.Assign))
    return simple and any(ast.unparse(function) in MAINS for function in calls)


def _check_skips(module: ast.Module, where: str) -> None:
    """A skipped test passes every program."""
    imports = [node for node in ast.walk(module) if isinstance(node, ast.ImportFrom)]
    names = {alias.name for node in imports if node.module in ("pytest", "unittest") for alias in node.names}
    owned = [node for node in ast.walk(module) if isinstance(node, ast.Attribute)]
    names |= {node.attr for node in owned if ast.unparse(node.value) in ("pytest", "pytest.mark", "unittest", "self")}
    for name in sorted(names & SKIPS):
        raise BadTests(f"tests.{where}: {name}: a test that is skipped says nothing; take it out, or let it run")


def _case_classes(module: ast.Module, where: str) -> set[str]:
    """Classes of unittest, those included that are made from others of the module."""
    cases: set[str] = set()
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base) for base in node.bases}
            if bases & ASYNC_CLASSES:
                raise BadTests(f"tests.{where}: class {node.name}: async tests are not run; write plain ones")
            if bases & (CASE_CLASSES | cases):
                cases.add(node.name)
    return cases


def _test_methods(node: ast.ClassDef) -> list[Function]:
    methods = [inner for inner in node.body if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return [method for method in methods if method.name.startswith("test")]


def _take_class(node: ast.ClassDef, is_case: bool, entries: Entries, where: str) -> None:
    for method in _test_methods(node):
        if isinstance(method, ast.AsyncFunctionDef):
            raise BadTests(f"tests.{where}: {node.name}.{method.name}: async tests are not run; write plain ones")
    if is_case:
        entries.cases.append(node.name)
        return
    if not node.name.startswith("Test"):
        raise BadTests(f"tests.{where}: class {node.name}: nothing runs it; name it Test…, or derive it from TestCase")
    if any(isinstance(inner, ast.FunctionDef) and inner.name == "__init__" for inner in node.body):
        raise BadTests(f"tests.{where}: class {node.name}: pytest runs no class with __init__; write setup_method")
    entries.needs_pytest = True


def _take_function(node: Function, names: Names, entries: Entries, where: str, *, helps: bool) -> None:
    """Sorts a function that the snippet's statements don't come to: a test to be called, one for pytest, or no test.

    `helps`: another function calls it, so that it may be a helper of tests.
    """
    is_test, is_check = node.name.startswith("test"), node.name.startswith("check")
    required = _required(node.args)
    takes_program = len(required) == 1 and not node.args.kwonlyargs and _is_program(required[0], node.name, names)
    is_plain = takes_program or (not required and node.args.vararg is None)
    if not (is_test or is_check or takes_program) or (helps and (required or not is_test)):
        return
    if isinstance(node, ast.AsyncFunctionDef):
        raise BadTests(f"tests.{where}: {node.name}: async tests are not run; write a plain function")
    if not node.decorator_list and is_plain:
        entries.called.append(node)
    elif is_test:
        entries.needs_pytest = True
    else:
        raise BadTests(
            f"tests.{where}: {node.name}({ast.unparse(node.args)}): a check is called with the program's "
            "function alone; call it yourself, or give it that one parameter"
        )


def _required(arguments: ast.arguments) -> list[str]:
    """Names of the parameters that a call must give."""
    positional = [*arguments.posonlyargs, *arguments.args]
    without_default = positional[: len(positional) - len(arguments.defaults)]
    keywords = [argument for argument, value in zip(arguments.kwonlyargs, arguments.kw_defaults) if value is None]
    return [argument.arg for argument in [*without_default, *keywords]]


def _is_program(parameter: str, function: str, names: Names) -> bool:
    """Whether a function's one parameter stands for the program's function."""
    return parameter in ("candidate", names.entry_point) or function.startswith("check") or function == "test"


def _reached(module: ast.Module, roots: list[ast.stmt]) -> set[str]:
    """Names of functions and classes at the top that these statements come to, directly or by others."""
    definitions = {node.name: node for node in module.body if isinstance(node, Definition)}
    reached: set[str] = set()
    waiting: list[ast.stmt] = [*roots]
    while waiting:
        fresh = (loaded(waiting.pop()) & definitions.keys()) - reached
        reached |= fresh
        waiting += [definitions[name] for name in fresh]
    return reached


def _check_all_run(module: ast.Module, entries: Entries, reached: set[str], where: str) -> None:
    """Refuses asserts in a function that nothing ever calls."""
    tests = {node.name for node in entries.called} | set(entries.cases)
    if entries.needs_pytest:
        tests |= {node.name for node in module.body if isinstance(node, Definition) and _is_for_pytest(node)}
    definitions = [node for node in module.body if isinstance(node, Definition)]
    running = reached | tests | _reached(module, [node for node in definitions if node.name in tests])
    for node in definitions:
        if node.name not in running and _asserts(node):
            raise BadTests(f"tests.{where}: {node.name} {NEVER_RUN}, or name it test_…")
    for owner in module.body:
        for part in ast.walk(owner):
            if part is owner or not isinstance(part, Definition) or not _asserts(part):
                continue
            if not _is_used(part, owner, module, is_run=getattr(owner, "name", None) in tests):
                name = f"{owner.name}.{part.name}" if isinstance(owner, Definition) else part.name
                raise BadTests(f"tests.{where}: {name} {NEVER_RUN}")


def _is_used(part: Definition, owner: ast.stmt, module: ast.Module, *, is_run: bool) -> bool:
    """Whether a function within another, or a method, is called by somebody: by its name, or because of it, where a
    runner runs the class."""
    attributes = {node.attr for node in ast.walk(module) if isinstance(node, ast.Attribute)}
    special = isinstance(owner, ast.ClassDef) and part.name.startswith(("test", *AROUND) if is_run else "__")
    return special or bool(part.decorator_list) or part.name in attributes | loaded(module)


def _is_for_pytest(node: Definition) -> bool:
    """Whether pytest takes it, or something of it that is decorated: a fixture."""
    return (
        node.name.startswith(("test", "Test"))
        or bool(node.decorator_list)
        or node.name.startswith(("setup", "teardown"))
    )


def _asserts(node: ast.AST) -> bool:
    called = [inner.func for inner in ast.walk(node) if isinstance(inner, ast.Call)]
    methods = [function.attr for function in called if isinstance(function, ast.Attribute)]
    asserts = any(isinstance(inner, ast.Assert) for inner in ast.walk(node))
    return asserts or any(name.startswith(("assert", "fail")) for name in methods)


def surely_calls(module: ast.Module, entry_point: str) -> bool:
    """Whether the first statement that does anything calls the program's function, whatever comes of it."""
    names = {entry_point, "candidate"}
    first = next((node for node in module.body if not _does_nothing(node)), None)
    if names & defined(module) or not isinstance(first, SIMPLE):
        return False
    return _calls(first.test if isinstance(first, ast.Assert) else first.value, names)


def _does_nothing(node: ast.stmt) -> bool:
    """A definition, an import of what is there, a constant."""
    value = node.value if isinstance(node, (ast.Assign, ast.Expr)) else None
    plain = value is not None and not any(isinstance(part, ACTIVE) for part in ast.walk(value))
    return plain or isinstance(node, (ast.FunctionDef, ast.Import, ast.Pass))


def _calls(node: ast.AST | None, names: set[str]) -> bool:
    """Whether evaluating an expression calls one of the names: not within what may be left out."""
    match node:
        case None | ast.BoolOp() | ast.IfExp() | ast.Lambda() | ast.ListComp() | ast.SetComp() | ast.DictComp():
            return False
        case ast.GeneratorExp() | ast.Compare(ops=[_, _, *_]):
            return False
        case ast.Call(func=ast.Name(id=name)) if name in names:
            return True
    return any(_calls(child, names) for child in ast.iter_child_nodes(node))
