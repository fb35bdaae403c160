"""Asserts that can't fail, and snippets that compare without asserting: refused by name when a task is loaded."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator

from mopd.verifiers.code.bad_tests import BadTests
from mopd.verifiers.code.script_names import Names

EXITS = ("exit", "quit", "sys.exit", "os._exit", "SystemExit", "pytest.exit")


def check_that_it_tests(module: ast.Module, names: Names, helpers: Collection[str], where: str) -> None:
    """The snippet asserts something, and no assert of it is always true. Raises BadTests."""
    for node in ast.walk(module):
        if isinstance(node, ast.Assert) and _is_always_true(node.test) and not isinstance(node.test, ast.Constant):
            fix = "remove its parentheses" if isinstance(node.test, ast.Tuple) else "let it depend on what comes back"
            raise BadTests(f"tests.{where}: assert {ast.unparse(node.test)[:80]} is always true; {fix}")
    for compared in _compared_for_nothing(module.body):
        raise BadTests(
            f"tests.{where}: {ast.unparse(compared)[:80]} compares and asserts nothing; write assert before it"
        )
    if any(map(_exits, ast.walk(module))):
        raise BadTests(f"tests.{where}: exits, after which nothing is tested; take that out")
    if not any(_may_fail(node, names, helpers) for node in ast.walk(module)):
        texts = [
            node.value for node in ast.walk(module) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        problem = "a doctest, which is not run" if any(">>> " in text for text in texts) else "tests nothing"
        raise BadTests(f"tests.{where}: {problem}; write an assert")


def _is_always_true(test: ast.expr) -> bool:
    match test:
        case ast.Constant(value=value):
            return bool(value)
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
            return any(not isinstance(item, ast.Starred) for item in items)
        case ast.Dict(keys=keys):
            return any(key is not None for key in keys)
        case ast.Lambda() | ast.GeneratorExp():
            return True
        case ast.BoolOp(op=ast.Or(), values=values):
            return any(map(_is_always_true, values))
        case ast.BoolOp(op=ast.And(), values=values):
            return all(map(_is_always_true, values))
        case ast.UnaryOp(op=ast.Not(), operand=ast.Constant(value=value)):
            return not value
        case ast.IfExp(body=body, orelse=other):
            return _is_always_true(body) and _is_always_true(other)
    return False


def _compared_for_nothing(statements: list[ast.stmt]) -> Iterator[ast.expr]:
    """Comparisons whose value nobody takes; not those in `with` and `try`, which may be there to raise."""
    for node in statements:
        if isinstance(node, ast.Expr) and _is_comparison(node.value):
            yield node.value
        if not isinstance(node, (ast.With, ast.AsyncWith, ast.Try)):
            for name in ("body", "orelse"):
                yield from _compared_for_nothing(getattr(node, name, []))


def _is_comparison(value: ast.expr) -> bool:
    match value:
        case ast.Compare():
            return True
        case ast.BoolOp(values=values):
            return any(map(_is_comparison, values))
        case ast.UnaryOp(op=ast.Not()):
            return True
        case ast.Tuple(elts=[first, _]):
            return _is_comparison(first)
    return False


def _exits(node: ast.AST) -> bool:
    """What ends the tests and may say that all is well: nobody could tell it from an early end."""
    match node:
        case ast.Raise(exc=ast.Name(id="SystemExit")):
            return True
        case ast.Call(func=function, args=args) if ast.unparse(function) in EXITS:
            return not any(
                isinstance(arg, ast.JoinedStr) or (isinstance(arg, ast.Constant) and arg.value) for arg in args
            )
    return False


def _may_fail(node: ast.AST, names: Names, helpers: Collection[str]) -> bool:
    """An assert, a raise, or a call of anything but the program and print: of a helper that may assert."""
    if isinstance(node, ast.Assert):
        return not (isinstance(node.test, ast.Constant) and node.test.value)
    if isinstance(node, ast.Raise):
        return True
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id in helpers or node.func.id in ("exec", "exit", "quit")
    return isinstance(node.func, ast.Attribute) and (
        node.func.attr.startswith(("assert", "raises", "fail", "exit", "testmod")) or node.func.attr.endswith("Equal")
    )
