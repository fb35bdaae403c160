"""When an answer to a task of Reasoning Gym is right, for the data sets whose own scorers take wrong ones too: those
that look at the beginning, the length or the digits of an answer alone, allow more than rounding, or overlook what
stands around it. Imported in a helper process only."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import sympy  # type: ignore[import-untyped]

_FORMULA = re.compile(r"[A-Za-z0-9\s()+\-*/^,.]*")
_ATTRIBUTE = re.compile(r"\.\s*[A-Za-z]")
_NAMES = {"pi", "sqrt", "exp", "log", "ln", "Abs", "sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan"}
_NAMES |= {"sinh", "cosh", "tanh", "asinh", "acosh", "atanh"}

_parse = sympy.parse_expr


def plain_formula(text: str, *args: Any, **options: Any) -> Any:
    """sympy's parse_expr, which evaluates Python, for numbers, single letters and elementary functions only. Raises
    ValueError for anything else."""
    functions = {name for name in re.findall(r"[A-Za-z]+", text) if len(name) > 1}
    if not _FORMULA.fullmatch(text) or _ATTRIBUTE.search(text) or functions - _NAMES:
        raise ValueError("not a plain formula")
    return _parse(text, *args, **options)


_FRACTION = r"\$?\s*(?:-?\d+\s*/\s*-?\d+|\\d?frac\s*\{\s*\d+\s*\}\s*\{\s*\d+\s*\})\s*\$?"
_DECIMAL = r"-?\d+(?:\.\d*)?"
FORMS = {
    name: re.compile(form, re.ASCII)
    for name, form in {
        "advanced_geometry": rf"{_DECIMAL}°?|\(\s*{_DECIMAL}\s*,\s*{_DECIMAL}\s*\)|{_DECIMAL}\s*,\s*{_DECIMAL}",
        "complex_arithmetic": r"[\d\s.+\-ij()]+",
        "fraction_simplification": _FRACTION,
        "kakurasu": r"[01\s]+",
        "quantum_lock": r"[A-Ca-c](?:\s*(?:→|->|,)?\s*[A-Ca-c])*",
        "sokoban": r"[UDLR]+",
        "survo": r"[\d\s]+",
        "time_intervals": r"-?\d+(?: days?)?|(?:\d+ days?,\s*)?\d{1,2}:\d{2}(?::\d{2}(?:\.\d{3})?)?",
        "tower_of_hanoi": r"(?:\s*Move disk \d+ from Peg \d+ to Peg \d+\s*?(?:\n|$))+",
    }.items()
}
"""How the whole answer must look, where a data set's scorer skips what it can't read."""


def _same_text(answer: str, entry: dict[str, Any]) -> bool:
    return answer.strip().casefold() == str(entry["answer"]).strip().casefold()


def _same_word(answer: str, entry: dict[str, Any]) -> bool:
    return answer.replace(" ", "").strip().casefold() == str(entry["answer"]).strip().casefold()


def _same_number(answer: str, entry: dict[str, Any]) -> bool:
    """By value: 1,000 is 1000.0."""
    number = _number(answer)
    return number is not None and number == _number(str(entry["answer"]))


def _number(text: str) -> Fraction | None:
    """A number in digits with currency, commas and a full stop; None for anything else."""
    match = re.fullmatch(
        r"(-?)\$?((?:\d+|\d{1,3}(?:,\d{3})+)?(?:\.\d*)?)(?:e([-+]?\d{1,3}))?", text.strip(), re.A | re.I
    )
    if match is None or not re.search(r"\d", match[2]) or len(text) > 1000:
        return None
    value = Fraction(match[2].replace(",", "").rstrip(".")) * Fraction(10) ** int(match[3] or 0)
    return -value if match[1] else value


def _same_probability(answer: str, entry: dict[str, Any]) -> bool:
    """As exact as the answer is written, which has ten digits; a fraction may stand for it."""
    match = re.fullmatch(r"(\d{1,100})\s*/\s*(\d{1,100})", answer.strip(), re.ASCII)
    value = Fraction(int(match[1]), int(match[2])) if match and int(match[2]) else _number(answer)
    expected = _number(str(entry["answer"]))
    return value is not None and expected is not None and abs(value - expected) <= expected * Fraction(5, 10**10)


def _same_list(answer: str, entry: dict[str, Any]) -> bool:
    """The same numbers in the same order, quoted or not."""
    predicted, expected = _list(answer), _list(str(entry["answer"]))
    return predicted is not None and predicted == expected


def _list(text: str) -> list[Fraction | None] | None:
    value = ast.literal_eval(text.strip())
    if not isinstance(value, list) or any(isinstance(item, bool) for item in value):
        return None
    numbers = [_number(str(item)) for item in value]
    return None if None in numbers else numbers


def _same_json(answer: str, entry: dict[str, Any]) -> bool:
    """Written out again, so that 1 isn't true."""
    return json.dumps(json.loads(answer), sort_keys=True) == json.dumps(json.loads(entry["answer"]), sort_keys=True)


def _same_matrix(answer: str, entry: dict[str, Any]) -> bool:
    """Means may be rounded to three digits."""
    predicted, expected = (
        np.array([row.split() for row in text.strip().splitlines()], float) for text in (answer, entry["answer"])
    )
    return predicted.shape == expected.shape and bool(np.allclose(predicted, expected, rtol=1e-3, atol=0))


def _same_roots(answer: str, entry: dict[str, Any]) -> bool:
    """The same numbers in any order; where there are none, nothing or an empty string."""
    predicted, expected = ([_number(part) for part in text.split(",")] for text in (answer, entry["answer"]))
    if not entry["answer"].strip():
        return answer.strip() in ("", '""', "''")
    return None not in predicted and sorted(map(str, predicted)) == sorted(map(str, expected))


def _same_people(answer: str, entry: dict[str, Any]) -> bool:
    """Each person's name and what they are, in any order, and no other words than "is", "a" and "and"."""
    return _people(answer) == _people(entry["answer"])


def _people(text: str) -> set[tuple[str, ...]]:
    words = re.sub(r"[.,()]", " ", text.casefold()).split()
    words = [word for word in words if word not in ("is", "a", "an", "and")]
    return {tuple(words[place : place + 2]) for place in range(0, len(words), 2)}


def _same_date_answer(answer: str, entry: dict[str, Any]) -> bool:
    number = _number(str(entry["answer"]))
    return _same_text(answer, entry) if number is None else _number(answer) == number


def _combines(answer: str, numbers: list[int], target: int) -> bool:
    """Whether a formula with + - * / of just these numbers has this value exactly."""
    if not re.fullmatch(r"[\d\s+\-*/()]+", answer, re.ASCII) or "**" in answer or "//" in answer:
        return False
    return bool(plain_formula(answer) == target) and sorted(map(int, re.findall(r"\d+", answer))) == sorted(numbers)


def _makes_24(answer: str, entry: dict[str, Any]) -> bool:
    return _combines(answer, entry["metadata"]["numbers"], 24)


def _counts_down(answer: str, entry: dict[str, Any]) -> bool:
    return _combines(answer, entry["metadata"]["numbers"], entry["metadata"]["target"])


def _integrates(answer: str, entry: dict[str, Any]) -> bool:
    """By its derivative. A letter is a constant, but for the variable in the other case."""
    name = entry["metadata"]["variable"]
    names = set(re.findall(r"[A-Za-z]\w*", answer)) - _NAMES
    if any(len(letter) > 1 or letter == name.swapcase() for letter in names):
        return False
    variable = sympy.Symbol(name)
    symbols = {letter: sympy.Symbol(letter) for letter in names | {name}}
    predicted = sympy.diff(plain_formula(answer, local_dict=symbols), variable)
    return bool(sympy.simplify(predicted - _parse(entry["metadata"]["integrand"], local_dict={name: variable})) == 0)


MENDED: dict[str, Callable[[str, dict[str, Any]], bool]] = {
    "calendar_arithmetic": _same_date_answer,
    "coin_flip": _same_probability,
    "countdown": _counts_down,
    "decimal_arithmetic": _same_number,
    "figlet_font": _same_word,
    "game_of_life": _same_json,
    "game_of_life_halting": _same_text,
    "gsm_symbolic": _same_number,
    "intermediate_integration": _integrates,
    "knights_knaves": _same_people,
    "letter_jumble": _same_text,
    "number_format": _same_number,
    "number_sorting": _same_list,
    "polynomial_equations": _same_roots,
    "pool_matrix": _same_matrix,
    "puzzle24": _makes_24,
    "simple_integration": _integrates,
    "spell_backward": _same_text,
}
"""Instead of a data set's own scorer."""
