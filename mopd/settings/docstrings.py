"""What is said below a setting in its class. Read when somebody asks: few do, and all import the classes."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise


def docstrings(settings: type) -> dict[str, str]:
    """The docstring of each field of a settings class, its bases' too."""
    said: dict[str, str] = {}
    for base in reversed(settings.__mro__):
        if base.__module__.startswith(__package__):
            said |= _read_module(base.__module__).get(base.__name__, {})
    return said


@cache
def _read_module(name: str) -> dict[str, dict[str, str]]:
    """Of each class of a module, what stands below its fields."""
    tree = ast.parse(inspect.getsource(sys.modules[name]))
    return {node.name: dict(_read_class(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _read_class(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in pairwise(node.body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            yield field.target.id, inspect.cleandoc(below.value.value)
