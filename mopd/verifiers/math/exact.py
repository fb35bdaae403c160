"""Equality of numbers and formulas beyond what floats can tell. Imported in a helper process only, with sympy."""

from __future__ import annotations

from decimal import Decimal
from itertools import islice, product
from typing import Any

from sympy import Expr, Float, I, Rational, Symbol  # type: ignore[import-untyped]
from sympy.core.evalf import PrecisionExhausted  # type: ignore[import-untyped]

DIGITS, FORMULA_DIGITS = 4000, 200
"""How deep a difference is looked into before it is taken for nothing: of numbers, and of formulas at a point."""
MIN_DIGITS = 6
"""How many digits a decimal must have to stand for a number that can't be written out."""
POINTS = (Rational(7, 5), Rational(-11, 7), Rational(29, 13), Rational(-3, 8), Rational(1, 6), Rational(-17, 4))
MAX_SYMBOLS, MAX_POINTS, MIN_POINTS = 3, 24, 3


def worked_out(answer: Any) -> Any:
    """A formula with its operations done, and i for the imaginary unit; anything else as it is."""
    if not isinstance(answer, Expr):
        return answer
    return answer.doit().subs({symbol: I for symbol in answer.free_symbols if symbol.name == "i"})


def same_value(first: Expr, second: Expr) -> bool | None:
    """Whether two numbers are equal; None where that can't be told. A decimal by itself may be the other one cut or
    rounded, to six digits or more; a decimal within a formula is exact."""
    if isinstance(first, Float) != isinstance(second, Float):
        decimal, number = (first, second) if isinstance(first, Float) else (second, first)
        number = _exact(number)
        return bool(_exact(decimal) == number) if number.is_Rational else _stands_for(decimal, number)
    first, second = _exact(first), _exact(second)
    if (first.is_Rational and second.is_Rational) or first.is_infinite or second.is_infinite:
        return bool(first == second)
    return _is_zero(first - second, DIGITS)


def _exact(formula: Any) -> Any:
    """A formula with its operations done, and its decimals as the fractions that they are."""
    return worked_out(formula.xreplace({decimal: Rational(str(decimal)) for decimal in formula.atoms(Float)}))


def _stands_for(decimal: Float, number: Expr) -> bool | None:
    """Whether a decimal is a number cut or rounded to its last digit."""
    written = Decimal(str(decimal)).normalize()
    value = number.evalf(2 * len(written.as_tuple().digits) + MIN_DIGITS)
    if not value.is_Float:
        return None
    rounded = Decimal(str(value))
    unit = Decimal(1).scaleb(int(written.as_tuple().exponent))
    error = abs(written - rounded)
    near = error <= unit / 2 or (error < unit and abs(written) < abs(rounded))
    return near and len(written.as_tuple().digits) >= MIN_DIGITS


def _is_zero(difference: Expr, digits: int) -> bool | None:
    """Whether no digit of a difference shows, however deep one looks; None where it has no value."""
    try:
        value = abs(difference).evalf(15, maxn=digits, strict=True)
    except PrecisionExhausted:
        return True
    return bool(value == 0) if value.is_Float or value.is_Rational else None


def apart(first: Expr, second: Expr) -> bool:
    """Whether two formulas plainly differ by a number, and by nothing else."""
    difference = _exact(first) - _exact(second)
    return bool(difference.is_Rational and difference != 0)


def same_formula(first: Expr, second: Expr) -> bool:
    """Whether two formulas agree wherever both are real, at points of either sign: by their values.

    They must be real at the same points, and at some.
    """
    first, second = _exact(first), _exact(second)
    symbols = sorted(first.free_symbols | second.free_symbols, key=str)
    if not symbols or len(symbols) > MAX_SYMBOLS or first.free_symbols != second.free_symbols:
        return False
    num_real = 0
    for values in islice(product(POINTS, repeat=len(symbols)), MAX_POINTS):
        at = dict(zip(symbols, values))
        left, right = (_real(formula, at) for formula in (first, second))
        if (left is None) != (right is None):
            return False
        if left is not None:
            if not _is_zero(first.subs(at) - second.subs(at), FORMULA_DIGITS):
                return False
            num_real += 1
    return num_real >= MIN_POINTS


def _real(formula: Expr, at: dict[Symbol, Any]) -> Any:
    """The value at a point, if it is a real number."""
    value = formula.subs(at).evalf(30)
    return value if value.is_Float or value.is_Rational else None
