"""Assert-style tests, read so that most need no interpreter beside the program's.

`assert f(1, 2) == 3` becomes a call of f, made in the sandbox, and an expression over the value that came back,
evaluated outside: the expected value never goes in. Tests that are more than that (loops, imports, helpers) are told
apart here, and run whole in a sandbox of their own (`mopd.verifiers.code.scripts`).
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

LARGEST_CONSTANT = 100_000
"""Items of a sequence that a test may write as a product ("[0] * 1000"), and the largest base of a power."""

_FUNCTIONS = {function.__name__: function for function in (abs, len, list, round, set, sorted, tuple)}
"""What may be applied to a value outside: nothing that makes it larger."""

_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


@dataclass(frozen=True)
class Assertion:
    """One assert whose calls of the program's function are made in the sandbox, and the rest outside."""

    calls: tuple[list[Any], ...]
    """The arguments of each call, in the order of evaluation."""
    code: CodeType
    """The expression, with the name `<N>` for what call N returned."""
    test: ast.expr
    """The same as a tree, for people."""
    called: tuple[ast.Call, ...]
    """The calls as they were written."""
    source: str
    """The whole assert as it was written."""

    def holds(self, values: list[Any]) -> bool:
        """Whether the assert passes on these values, by Python's own operators. Raises what they raise."""
        names = {_placeholder(number): value for number, value in enumerate(values)}
        return bool(eval(self.code, {"__builtins__": _FUNCTIONS}, names))  # white-listed nodes alone, see _check

    def show(self) -> tuple[str, str | None]:
        """What is called and what is expected, as source: ("f(1, 2)", "3"); else the whole assert and None."""
        match self.test:
            case ast.Compare(left=ast.Name(), ops=[ast.Eq() | ast.Is()], comparators=[right]) if _is_constant(right):
                return ast.unparse(self.called[0]), ast.unparse(right)
        text = ast.unparse(self.test)
        for number, call in enumerate(self.called):
            text = text.replace(_placeholder(number), ast.unparse(call))
        return f"assert {text}", None


def split_asserts(
    module: ast.Module, entry_point: str, functions: Sequence[ast.FunctionDef]
) -> list[ast.Assert] | None:
    """The asserts of a test snippet, each of which can stand alone; None when it is more than a list of asserts.

    A snippet is asserts, or `functions` made of them, as `check(candidate)`: their asserts then call `entry_point` in
    place of the parameter. Constants that nothing uses, strings and `assert True` are left out. Changes the module.
    """
    statements = list(module.body)
    for function in functions:
        statements = [node for node in statements if node is not function and not is_call_of(node, function.name)]
        for parameter in function.args.args[:1]:
            _rename(function.body, parameter.arg, entry_point)
        statements += function.body
    _rename(statements, "candidate", entry_point)
    statements = [node for node in statements if not _does_nothing(node)]
    names = [node for statement in statements for node in ast.walk(statement) if isinstance(node, ast.Name)]
    loaded = {name.id for name in names if isinstance(name.ctx, ast.Load)}
    statements = [node for node in statements if not _is_unused_constant(node, loaded)]
    asserts = [node for node in statements if isinstance(node, ast.Assert)]
    return asserts if len(asserts) == len(statements) else None


def _rename(statements: Sequence[ast.stmt], name: str, new: str) -> None:
    for statement in statements:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and node.id == name:
                node.id = new


def read_assert(node: ast.Assert, entry_point: str) -> Assertion | None:
    """The assert as calls and an expression over their values; None when it needs an interpreter. Changes the node."""
    reader = _Reader(entry_point)
    source = ast.unparse(node)
    try:
        test = reader.visit(node.test)
        _check(test, several=len(reader.calls) > 1)
    except _Beyond:
        return None
    if not reader.calls:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `is 5`: the task's business
        remainder = compile(ast.Expression(test), "<assert>", "eval")
    return Assertion(tuple(reader.calls), remainder, test, tuple(reader.called), source)


def find_check(module: ast.Module) -> ast.FunctionDef | None:
    """The function `check(candidate)` of tests in HumanEval's form."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and node.name == "check" and len(node.args.args) == 1:
            return node
    return None


def is_call_of(node: ast.stmt, name: str) -> bool:
    """Whether a statement is `name(...)`."""
    match node:
        case ast.Expr(value=ast.Call(func=ast.Name(id=called))):
            return called == name
    return False


class _Beyond(Exception):
    """The assert is more than calls with constants and a plain expression."""


class _Reader(ast.NodeTransformer):
    """Puts a placeholder where the program's function is called, and keeps the calls' arguments."""

    def __init__(self, entry_point: str) -> None:
        self.entry_point = entry_point
        self.calls: list[list[Any]] = []
        self.called: list[ast.Call] = []

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if not (isinstance(node.func, ast.Name) and node.func.id == self.entry_point):
            return self.generic_visit(node)
        if node.keywords:
            raise _Beyond
        self.calls.append([_constant(argument) for argument in node.args])
        self.called.append(node)
        return ast.copy_location(ast.Name(_placeholder(len(self.calls) - 1), ast.Load()), node)


def _placeholder(number: int) -> str:
    return f"<{number}>"  # no name that a test could write


def _check(node: ast.expr, *, several: bool) -> None:
    """Lets through what is safe to evaluate on values from a program; raises _Beyond for the rest.

    With `several` calls nothing may be left unevaluated, as in `f(1) or f(2)`: the calls are all made.
    """
    if not _is_constant(node):
        for child in _operands(node, several=several):
            _check(child, several=several)


def _operands(node: ast.expr, *, several: bool) -> list[ast.expr]:
    match node:
        case ast.Name(id=name) if name.startswith("<"):
            return []
        case ast.Compare(left=left, ops=ops, comparators=others) if len(ops) == 1 or not several:
            return [left, *others]
        case ast.BoolOp(values=values) if not several:
            return values
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            return [operand]
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Div(), right=right):
            return [left, right]
        case ast.Call(func=ast.Name(id=name), args=values, keywords=[]) if name in _FUNCTIONS:
            return values
        case ast.Subscript(value=value, slice=index):
            return [value, index]
        case ast.List(elts=values) | ast.Tuple(elts=values):
            return values
    raise _Beyond


def _is_constant(node: ast.expr) -> bool:
    try:
        _constant(node)
    except _Beyond:
        return False
    return True


def _constant(node: ast.expr) -> Any:
    """The value of a literal, arithmetic of small ones included ("3 * 19"). Raises _Beyond for anything else."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.List(elts=items):
            return [_constant(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_constant(item) for item in items)
        case ast.Set(elts=items):
            return _built(set, [_constant(item) for item in items])
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return _built(dict, [(_constant(key), _constant(value)) for key, value in zip(keys, values) if key])
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _built(operator.neg, _constant(operand))
        case ast.BinOp(left=left, op=sign, right=right):
            return _calculated(type(sign), _constant(left), _constant(right))
    raise _Beyond


def _calculated(sign: type[ast.operator], left: Any, right: Any) -> Any:
    """A binary operator on constants, unless the result could be large."""
    if sign not in _OPERATORS or (sign is ast.Mod and not _is_number(left)):
        raise _Beyond
    if sign is ast.Pow and not (_is_small(left, LARGEST_CONSTANT) and _is_small(right, 64)):
        raise _Beyond
    if sign is ast.Mult and not (_is_number(left) and _is_number(right)):
        sequence, times = (right, left) if _is_number(left) else (left, right)
        if not _is_small(times, LARGEST_CONSTANT // max(1, _built(len, sequence))):
            raise _Beyond
    return _built(_OPERATORS[sign], left, right)


def _built(function: Any, *args: Any) -> Any:
    try:
        return function(*args)
    except (ArithmeticError, TypeError) as error:  # [] + 1, {[]}, 1 / 0
        raise _Beyond from error


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _is_small(value: Any, bound: int) -> bool:
    return _is_number(value) and abs(value) <= bound


def _does_nothing(node: ast.stmt) -> bool:
    """A string or a name by itself, `pass`, `assert True`."""
    match node:
        case ast.Pass() | ast.Expr(value=ast.Constant() | ast.Name()) | ast.Assert(test=ast.Constant(value=True)):
            return True
    return False


def _is_unused_constant(node: ast.stmt, loaded: set[str]) -> bool:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name not in loaded and _is_constant(value)
    return False
