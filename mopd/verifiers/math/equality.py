"""Equality of two answers by algebra. Imported in a helper process only: sympy takes long to load, and may hang."""

from __future__ import annotations

import logging
import re

from latex2sympy2_extended import NormalizationConfig  # type: ignore[import-untyped]
from math_verify import LatexExtractionConfig, parse, verify  # type: ignore[import-untyped]
from sympy import Basic, Eq, Expr, nan, zoo  # type: ignore[import-untyped]
from sympy.core.random import seed  # type: ignore[import-untyped]

from mopd.verifiers.math.exact import apart, same_formula, same_value, worked_out

logging.disable()  # math-verify warns that its own time limit is off: ours is the guard's

_NORMALIZATION = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all", equations=False
)
_AS_LATEX = [LatexExtractionConfig(boxed_match_priority=0, normalization_config=_NORMALIZATION)]
_SET = re.compile(r"\\\{.*\\\}", re.DOTALL)
_BRACKETS = re.compile(r"[(\[].*,.*[)\]]", re.DOTALL)


def equal(prediction: str, answer: str) -> bool | None:
    """Whether two plain answers (see `math_text.plain`) are equal; None when the prediction can't be read."""
    seed(0)  # sympy tries random values: the same ones, whatever was compared before
    if _SET.fullmatch(prediction) and _BRACKETS.fullmatch(answer):
        return False  # to math-verify, {1, 2} is (1, 2)
    if _BRACKETS.fullmatch(prediction) and _SET.fullmatch(answer):
        return False
    try:
        return _equal(_read(prediction), _read(answer))
    except (MemoryError, RecursionError):
        raise
    except Exception:  # sympy fails in many ways on what is no mathematics
        return None


def _equal(predicted: list[Basic | str], wanted: list[Basic | str]) -> bool | None:
    left, right = predicted[0] if predicted else "", wanted[0] if wanted else ""
    if isinstance(left, Expr) and isinstance(right, Expr) and _is_number(left) and _is_number(right):
        equal = same_value(left, right)
        if equal is not None:
            return equal or ("%" in f"{predicted[-1]}{wanted[-1]}" and _verify(wanted, predicted))
    elif isinstance(left, Expr) and isinstance(right, Expr) and apart(left, right):
        return False  # to math-verify, x + 10^{-20} may be x
    equal = _verify(wanted, predicted) or _verify(list(map(worked_out, wanted)), list(map(worked_out, predicted)))
    if not equal and isinstance(left, Expr) and isinstance(right, Expr):
        equal = same_formula(left, right)
    if not equal and all(isinstance(reading, str) for reading in predicted):
        return None
    return equal and _consistent(left, right, wanted)


def _is_number(answer: Expr) -> bool:
    return all(symbol.name == "i" for symbol in answer.free_symbols) and not answer.has(zoo, nan)


def _read(text: str) -> list[Basic | str]:
    return parse(f"\\boxed{{{text}}}", _AS_LATEX, parsing_timeout=None)  # type: ignore[no-any-return]


def _verify(wanted: list[Basic | str], predicted: list[Basic | str]) -> bool:
    return verify(wanted, predicted, allow_set_relation_comp=True, timeout_seconds=None)  # type: ignore[no-any-return]


def _consistent(left: Basic | str, right: Basic | str, wanted: list[Basic | str]) -> bool:
    """Not what math-verify lets pass: "7 = 5" for 5."""
    if isinstance(left, Eq) and left.lhs.is_number and not isinstance(right, Eq):
        return _verify(wanted, [left.lhs])
    return True


for _given, _wanted in (
    (r"\frac{1}{2}", r"\sqrt{8}"),
    ("x^2-1+e^{i}", "(x-1)(x+2)"),
    (r"\sin^2 x+\cos^2 x", "1"),
    ("y-2x=1", "y=2x+2"),
    ("x>5", r"(5,\infty)"),
    (r"\{1,2\}", r"\{2,3\}"),
    ("(1,2)", "(2,1)"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&2\\3&x\end{pmatrix}"),
):
    equal(_given, _wanted)  # warms parser and sympy, once for all the forks
