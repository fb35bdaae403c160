"""The names of a test snippet: which it defines, which are the program's, and what it imports."""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from mopd.sandbox.interpreter import LEFT_OUT
from mopd.sandbox.packages import list_modules, testing_packages
from mopd.verifiers.code.bad_tests import BadTests, brief
from mopd.verifiers.parsing import NOT_PYTHON, parse

BUILT_IN = frozenset({*dir(builtins), "candidate", "__name__", "__file__"})
IMPORT_ERRORS = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")
UNREACHED = {
    "redirect_stderr": "what a program writes to stderr is not seen by its tests",
    "capfd": "what a program writes to stderr is not seen by its tests",
    "caplog": "what a program logs is not seen by its tests",
    "monkeypatch": "a program can't be patched from its tests",
    "patch": "a program can't be patched from its tests",
    "tmp_path": "a program does not see the files of its tests",
    "tmpdir": "a program does not see the files of its tests",
    "multiprocessing": "a program can't be called from another process",
    "ProcessPoolExecutor": "a program can't be called from another process",
    "getsource": "a program's source is not seen by its tests",
    "getsourcelines": "a program's source is not seen by its tests",
    "doctest": "doctests are not run",
    "tempfile": "a program does not see the files of its tests",
}
"""What tests can't do from another sandbox than the program's, by the name that it takes."""


OWNERS = ("contextlib", "mock", "inspect", "futures")
"""Modules that hold some of these."""


@dataclass(frozen=True)
class Names:
    """What a task's tests may use without defining it."""

    entry_point: str
    further: tuple[str, ...]
    """The program's, besides the entry point."""
    modules: frozenset[str]
    """That can be imported; others that the program's names come from are the program's."""

    @property
    def program(self) -> frozenset[str]:
        return frozenset({self.entry_point, *self.further})


def importable(packages: tuple[str, ...]) -> frozenset[str]:
    """Modules that tests can import: the standard library, pytest where it is installed, and those of `packages`."""
    return programs_importable(packages) | set(testing_packages())


def programs_importable(packages: tuple[str, ...]) -> frozenset[str]:
    """Modules that programs can import: the standard library, and those of `packages`."""
    return frozenset(sys.stdlib_module_names) - set(LEFT_OUT) | list_modules(packages)


def lacking_import(module: ast.Module, modules: frozenset[str]) -> str | None:
    """A module that is imported and isn't there."""
    return next((_absent(node, modules) for node in _imports(module, modules)), None)


def parsed(source: object, field: str) -> ast.Module:
    """Python source as a tree. Raises BadTests."""
    if not isinstance(source, str):
        raise BadTests(f"tests.{field}: {brief(source)} is not text; write Python")
    try:
        return parse(source)
    except NOT_PYTHON as error:
        if ">>> " in source:
            raise BadTests(f"tests.{field}: a doctest, which is not run; write asserts") from error
        raise BadTests(f"tests.{field}: not Python ({' '.join(str(error).split())}); mend it") from error


def defined(module: ast.AST) -> set[str]:
    """Every name that is bound anywhere; "*" for an import of unknown names."""
    nodes = list(ast.walk(module))
    known = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    known |= {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    known |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    caught = [node for node in nodes if isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar))]
    known |= {node.name for node in caught if node.name}
    known |= {node.rest for node in nodes if isinstance(node, ast.MatchMapping) and node.rest}
    return known | {(node.asname or node.name).split(".")[0] for node in nodes if isinstance(node, ast.alias)}


def loaded(node: ast.AST) -> set[str]:
    """Every name that is read."""
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load)}


def unknown_calls(module: ast.Module, modules: frozenset[str]) -> set[str]:
    """Names that are called and that nothing defines: one of them is the program's function."""
    calls = [node.func for node in ast.walk(module) if isinstance(node, ast.Call)]
    known = defined(module) - {alias.name for node in _imports(module, modules) for alias in node.names}
    return {function.id for function in calls if isinstance(function, ast.Name)} - known - BUILT_IN


def check_names(module: ast.Module, names: Names, helpers: Collection[str], field: str) -> None:
    """Refuses names that nobody defines, and what can't be done from outside of the program. Raises BadTests."""
    unknown = sorted(loaded(module) - defined(module) - names.program - set(helpers) - BUILT_IN)
    if unknown and "*" not in helpers and "*" not in defined(module):
        functions = [node.func for node in ast.walk(module) if isinstance(node, ast.Call)]
        called = {function.id for function in functions if isinstance(function, ast.Name)}
        raise BadTests(
            f"tests.{field}: {'calls' if unknown[0] in called else 'uses'} {unknown[0]}, and only {_listed(names)} the "
            "program's; define it in tests.setup, or name it in tests.names"
        )
    _check_program_stays(module, names, field)
    for name in sorted(_mentioned(module) & UNREACHED.keys() - {node.name for node in _functions(module)}):
        raise BadTests(f"tests.{field}: {name}: {UNREACHED[name]}; test without it")
    if any(_ends_in_standard_stream(node) for node in ast.walk(module)):
        raise BadTests(f"tests.{field}: sets sys.stdin or sys.stderr, which are not the program's; write stdin tests")


def _check_program_stays(module: ast.Module, names: Names, field: str) -> None:
    """The program's names stay the program's, and its classes in its interpreter."""
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef) and any(loaded(base) & names.program for base in node.bases):
            raise BadTests(f"tests.{field}: class {node.name} subclasses the program's; test it without a subclass")
    for node in module.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in names.program:
            raise BadTests(f"tests.{field}: defines {node.name}, so that the program's is never called; remove it")


def _functions(module: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in module.body if isinstance(node, ast.FunctionDef)]


def _mentioned(module: ast.Module) -> set[str]:
    """Names that are imported, taken from a module that holds such, or wanted as fixtures."""
    nodes = list(ast.walk(module))
    owned = [node for node in nodes if isinstance(node, ast.Attribute)]
    names = {node.attr for node in owned if ast.unparse(node.value).split(".")[-1] in OWNERS}
    names |= {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            names |= {node.module or "", *(alias.name for alias in node.names)}
    tests = [node for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test")]
    return names | {argument.arg for node in tests for argument in node.args.args}


def _ends_in_standard_stream(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="sys"), attr="stdin" | "stderr", ctx=ast.Store()):
            return True
    return False


def _listed(names: Names) -> str:
    listed = [names.entry_point, *names.further]
    return f"{', '.join(listed)} {'is' if len(listed) == 1 else 'are'}"


def without_program_imports(module: ast.Module, names: Names, field: str) -> ast.Module:
    """The module, in which names that it imports from the program's file are the program's own.

    That is an import of program names alone from a module that doesn't exist; any other such module is refused, unless
    the snippet can do without. Raises BadTests.
    """
    aliases: dict[str, str] = {}
    module_names: set[str] = set()
    dropped: list[ast.stmt] = []
    for node in _imports(module, names.modules):
        if isinstance(node, ast.ImportFrom) and {alias.name for alias in node.names} <= names.program | {"*"}:
            aliases |= {alias.asname: alias.name for alias in node.names if alias.asname}
            dropped.append(node)
        elif isinstance(node, ast.Import) and _is_program(module, node, names):
            module_names |= {alias.asname or alias.name for alias in node.names}
            dropped.append(node)
        else:
            raise BadTests(f"tests.{field}: {_imports_what(node, names)}")
    return ast.fix_missing_locations(_ProgramNames(dropped, aliases, module_names).visit(module)) if dropped else module


def _imports(module: ast.Module, modules: frozenset[str]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports of modules that don't exist, but those that the snippet can do without."""
    guarded = {
        inner
        for node in ast.walk(module)
        if isinstance(node, ast.Try) and any(_catches_import_errors(handler) for handler in node.handlers)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(module):
        if isinstance(node, (ast.Import, ast.ImportFrom)) and node not in guarded and not _exists(node, modules):
            yield node


def _exists(node: ast.Import | ast.ImportFrom, modules: frozenset[str]) -> bool:
    if isinstance(node, ast.ImportFrom):
        return not node.level and (node.module or "").split(".")[0] in modules
    return all(alias.name.split(".")[0] in modules for alias in node.names)


def _catches_import_errors(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or bool(loaded(handler.type) & set(IMPORT_ERRORS))


def _is_program(module: ast.Module, node: ast.Import, names: Names) -> bool:
    """Whether what is imported is used for the program's names alone: `solution.f(1)`."""
    called = {alias.asname or alias.name for alias in node.names}
    if any("." in name for name in called):
        return False
    owners = [inner for inner in ast.walk(module) if isinstance(inner, ast.Name) and inner.id in called]
    used = [
        inner
        for inner in ast.walk(module)
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id in called
    ]
    return bool(used) and len(owners) == len(used) and all(inner.attr in names.program for inner in used)


def _imports_what(node: ast.Import | ast.ImportFrom, names: Names) -> str:
    module, imported = _absent(node, names.modules), {alias.name for alias in node.names}
    if imported & names.program:
        unknown = ", ".join(sorted(imported - names.program))
        return f"imports {unknown} from {module}, and only {_listed(names)} the program's; name it in tests.names"
    if module == "pytest":
        return "imports pytest, which is not installed here; pip install pytest, or write plain asserts"
    return f"{lacks(module)} ({_listed(names)} there without an import)"


def _absent(node: ast.Import | ast.ImportFrom, modules: frozenset[str]) -> str:
    if isinstance(node, ast.ImportFrom):
        return "." * node.level + (node.module or "")
    return next(alias.name for alias in node.names if alias.name.split(".")[0] not in modules)


def lacks(module: str) -> str:
    """What is said of an import that can't be."""
    return f"imports {module}, which the sandbox lacks; name its package in verify.packages, or do without it"


class _ProgramNames(ast.NodeTransformer):
    """Takes imports of the program away, and calls what they named by the program's own names."""

    def __init__(self, dropped: list[ast.stmt], aliases: dict[str, str], module_names: set[str]) -> None:
        self.dropped = dropped
        self.aliases = aliases
        self.module_names = module_names

    def visit_Import(self, node: ast.Import) -> ast.stmt:
        return ast.Pass() if node in self.dropped else node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt:
        return ast.Pass() if node in self.dropped else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and node.value.id in self.module_names:
            return ast.Name(node.attr, node.ctx)
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        node.id = self.aliases.get(node.id, node.id)
        return node
