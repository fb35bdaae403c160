"""Equality of numbers and formulas beyond what floats can tell. Imported in a helper process only, with sympy."""

from __future__ import annotations

from itertools import islice, product
from typing import Any

from sympy import Expr, Float, I, Rational, S, Symbol  # type: ignore[import-untyped]

DIGITS = 60
"""To which exact numbers are worked out that are not rational."""
SAME = S(10) ** -45
NEARLY = S(10) ** -5
"""How far a decimal may be from the exact number that it stands for, relatively."""
POINTS = (Rational(7, 5), Rational(-11, 7), Rational(29, 13), Rational(-3, 8), Rational(1, 6), Rational(-17, 4))
MAX_SYMBOLS, MAX_POINTS, MIN_POINTS = 3, 24, 3


def worked_out(answer: Any) -> Any:
    """A formula with its operations done, and i for the imaginary unit; anything else as it is."""
    if not isinstance(answer, Expr):
        return answer
    return answer.doit().subs({symbol: I for symbol in answer.free_symbols if symbol.name == "i"})


def same_value(one: Expr, other: Expr) -> bool | None:
    """Whether two numbers are equal: rational ones exactly, others to 45 digits, a decimal to five; None where that
    can't be told."""
    one, other = worked_out(one), worked_out(other)
    if one.is_Rational and other.is_Rational:
        return bool(one == other)
    if one.is_infinite or other.is_infinite:
        return bool(one == other)
    approximate = bool(one.atoms(Float) or other.atoms(Float))
    difference = _size(one - other)
    largest = max(filter(None, (_size(one), _size(other))), default=None)
    if difference is None or largest is None:
        return None
    return bool(difference <= (NEARLY if approximate else SAME) * largest)


def _size(number: Expr) -> Any:
    """The absolute value to many digits; None where there is none."""
    if number == 0:
        return S.Zero
    value = abs(number.evalf(DIGITS, maxn=4000))
    return value if value.is_Float or value.is_Rational else None


def same_formula(one: Expr, other: Expr) -> bool:
    """Whether two formulas agree wherever both are real, at points of either sign: by their values, to 30 digits.

    They must be real at the same points, and at some.
    """
    one, other = worked_out(one), worked_out(other)
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    if not symbols or len(symbols) > MAX_SYMBOLS or one.free_symbols != other.free_symbols:
        return False
    num_real = 0
    for values in islice(product(POINTS, repeat=len(symbols)), MAX_POINTS):
        at = dict(zip(symbols, values))
        left, right = (_real(formula, at) for formula in (one, other))
        if (left is None) != (right is None):
            return False
        if left is not None:
            if abs(left - right) > S(10) ** -25 * max(abs(left), abs(right), 1):
                return False
            num_real += 1
    return num_real >= MIN_POINTS


def _real(formula: Expr, at: dict[Symbol, Any]) -> Any:
    """The value at a point, if it is a real number."""
    value = formula.subs(at).evalf(30)
    return value if value.is_Float or value.is_Rational else None
