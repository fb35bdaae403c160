"""Decides what of mathematical answers needs no algebra: numbers, lists of numbers, words, letters of choices."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

from mopd.verifiers.math.spelling import spelled, unwrapped
from mopd.verifiers.math.units import resolve_degrees, same_unit, scaled, split_unit

MAX_LENGTH = 1000
"""Longer texts are no answers, and not read."""

_DIGITS = r"(?:\d{1,3}(?:[,\u066c]\d{3})+(?!\d)|\d+)"
_NUMBER = re.compile(
    rf"""
    (?P<sign> [-+]? ) \s*
    (?: (?P<decimal> {_DIGITS}? \. \d+ | {_DIGITS} \.? )
        (?: \s* (?: \\times | \\cdot | \* ) \s* (?: 10 \^ \{{? (?P<power> [-+]? \d{{1,3}} ) \}}? | (?P<times> \d+ ) ) )?
      | (?: (?P<whole> \d+ ) \s* (?= \\frac | \s\d ) \s* )?
        (?: \\frac \s* \{{ \s* (?P<top> [-+]? \d+ ) \s* \}} \s* \{{ \s* (?P<bottom> \d+ ) \s* \}}
          | (?P<top2> \d+ ) \s* / \s* (?P<bottom2> \d+ ) )
    )
    \s* (?P<percent> %? )
    """,
    re.VERBOSE,
)
_TEXT = re.compile(r"\\text\s*\{(?P<text>[^{}]*)\}")
_CHOICE = re.compile(r"\\text\s*\{\s*\(?[A-Ja-j]\)?\s*\}|\([A-Ja-j]\)")
"""A letter that is marked as that of a choice: there the case doesn't count."""
_LETTER = re.compile(r"\\text\s*\{\s*\(?(?P<text>[A-Za-z])\)?\s*\}|\(?(?P<letter>[A-Za-z])\)?")
_WORDS = re.compile(r"[^\W\d_]+(?:[ ,.]+[^\W\d_]+|['’\-][^\W\d_]+)*\.?")
_FAMILIES = ("abcd", "ijk", "klmn", "pqrst", "uvw", "wxyz")
"""Letters that stand for variables beside each other: "bca" is a product, "dog" a word."""
_ASSIGNED = re.compile(r"(?P<name>[A-Za-z](?:_\{?\w+\}?)?|\\[a-z]+) ?(?:=|\\approx) ?(?P<value>[^=<>]+)")
_SEPARATOR = re.compile(r"\s*(?:,?\s*\\text\s*\{\s*,?\s*and\s*\}|,?\s+and\s+|;|,\s+|,(?!\d{3}(?!\d)))\s*(?:and\s+)?")
_INEQUALITIES = re.compile(r"\s*(?:\\text\s*\{\s*or\s*\}|\bor\b|\\lor(?![A-Za-z])|\\cup(?![A-Za-z]))\s*")
_SIDED = re.compile(r"(?P<name>[a-z]) ?(?P<sign><|>|\\leq?|\\geq?)(?![A-Za-z]) ?(?P<bound>[^<>=]+)")
_BETWEEN = re.compile(
    r"(?P<low>[^<>=]+?) ?(?P<first><|\\leq?)(?![A-Za-z]) ?(?P<name>[a-z]) ?"
    r"(?P<second><|\\leq?)(?![A-Za-z]) ?(?P<high>[^<>=]+)"
)


class Number(NamedTuple):
    """A number written out."""

    value: Fraction
    """As written: 50 for 50%."""
    percent: bool
    decimal: bool
    """Whether it is written with a decimal point."""


def plain(text: str) -> str:
    """The answer in one spelling."""
    return scaled(spelled(text))


def decide(prediction: str, answer: str) -> bool | tuple[str, str]:
    """Whether two plain answers are equal, where that takes no algebra; where it does, what is left to compare of them:
    without units, and without "x =" where one has it, or both."""
    prediction, answer = resolve_degrees(prediction, answer)
    if _squeeze(prediction) == _squeeze(answer):
        return True
    assigned, wanted = _ASSIGNED.fullmatch(prediction), _ASSIGNED.fullmatch(answer)
    if assigned and wanted and assigned["name"] != wanted["name"]:
        return False
    if assigned and (wanted or "=" not in answer):
        prediction = unwrapped(assigned["value"])
    if wanted and (assigned or "=" not in prediction):
        answer = unwrapped(wanted["value"])
    (prediction, unit), (answer, answer_unit) = split_unit(prediction), split_unit(answer)
    if unit and answer_unit and not same_unit(unit, answer_unit):
        return False
    return _by_kind(prediction, answer)


def _by_kind(prediction: str, answer: str) -> bool | tuple[str, str]:
    lists = read_list(prediction), read_list(answer)
    if any(lists) and all(as_list or read_number(text) for as_list, text in zip(lists, (prediction, answer))):
        # "376,625" is a number, unless it stands against a list
        numbers: list[Any] = [read_list(text, digits=True) or [read_number(text)] for text in (prediction, answer)]
        return _same_list(*numbers)
    choices = [_CHOICE.fullmatch(text) for text in (prediction, answer)]
    letters = [_letter(text) for text in (prediction, answer)]
    if any(choices) and all(letters):
        return str(letters[0]).casefold() == str(letters[1]).casefold()
    for read, compare in _KINDS:
        predicted, expected = read(prediction), read(answer)
        if predicted is not None and expected is not None:
            return compare(predicted, expected)
    if word(prediction) is not None or word(answer) is not None:
        return False
    return for_algebra(prediction), for_algebra(answer)


def for_algebra(text: str) -> str:
    """What is left to a reader of formulas: inequalities as intervals, upright letters as letters, plain numbers."""
    text = re.sub(r"(?<=\d)\u066c(?=\d)", "", text)
    text = re.sub(r"\\text\s*\{\s*(or|and)\s*\}", r"\\text{ \1 }", text)
    text = re.sub(r"\\text\s*\{\s*([A-Za-z])\s*\}", r" \1 ", text)
    return _as_intervals(text) or text.strip()


def _as_intervals(text: str) -> str | None:
    """ "x < -1 or x > 1" as a union; None for anything else."""
    parts = _INEQUALITIES.split(text)
    read = [_interval(part.strip()) for part in parts]
    if len(parts) < 2 or None in read or len({entry[0] for entry in read if entry}) > 1:
        return None
    return r" \cup ".join(entry[1] for entry in read if entry)


def _interval(text: str) -> tuple[str, str] | None:
    """Name and interval of one inequality."""
    match = _BETWEEN.fullmatch(text)
    if match is not None:
        opening, closed = ("(" if match["first"] == "<" else "["), (")" if match["second"] == "<" else "]")
        return match["name"], f"{opening}{match['low'].strip()}, {match['high'].strip()}{closed}"
    match = _SIDED.fullmatch(text)
    if match is None:
        return None
    bound, sign = match["bound"].strip(), match["sign"]
    if sign in ("<", r"\le", r"\leq"):
        return match["name"], rf"(-\infty, {bound}{')' if sign == '<' else ']'}"
    return match["name"], rf"{'(' if sign == '>' else '['}{bound}, \infty)"


def read_number(text: str) -> Number | None:
    """The number that a plain text is: integer, decimal, fraction, mixed number, percentage; None for anything else."""
    match = _NUMBER.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if match is None:
        return None
    decimal = match["decimal"]
    if decimal:
        value = Fraction(re.sub(r"[,\u066c]", "", decimal).rstrip("."))
        value *= Fraction(10) ** int(match["power"] or 0) * int(match["times"] or 1)
    else:
        top, bottom = int(match["top"] or match["top2"]), int(match["bottom"] or match["bottom2"])
        if bottom == 0 or (match["whole"] and top < 0):
            return None
        value = int(match["whole"] or 0) + Fraction(top, bottom)
    return Number(-value if match["sign"] == "-" else value, bool(match["percent"]), "." in (decimal or ""))


def read_list(text: str, *, digits: bool = False) -> list[Number] | None:
    """Numbers beside each other, at least two; None for anything else. A comma within a number has no space after it
    and three digits; with `digits` it is no part of a number even then."""
    parts = _SEPARATOR.split(text.replace(",", ", ") if digits else text)
    numbers = [read_number(part.strip()) for part in parts]
    if len(numbers) < 2 or None in numbers:
        return None
    return [number for number in numbers if number is not None]


def _same_list(predicted: Any, expected: Any) -> bool:
    """The same numbers, in any order."""
    left = list(expected)
    for number in predicted:
        match = next((place for place, candidate in enumerate(left) if same_number(number, candidate)), None)
        if match is None:
            return False
        del left[match]
    return not left


def same_number(first: Number, second: Number) -> bool:
    """Equality by value; 50% equals 1/2, and 50 as well; 0.333333 equals 1/3, which can't be written out."""
    if first.percent == second.percent:
        return _same_value(first, second)
    percent, bare = (first, second) if first.percent else (second, first)
    return _same_value(percent, bare) or _same_value(percent._replace(value=percent.value / 100), bare)


def _same_value(first: Number, second: Number) -> bool:
    if first.value == second.value:
        return True
    endless = [not number.decimal and not _terminates(number.value) for number in (first, second)]
    decimal = [number.decimal for number in (first, second)]
    if any(endless) and any(decimal):
        return math.isclose(first.value, second.value, rel_tol=2e-6)
    return False


def _terminates(value: Fraction) -> bool:
    """Whether it has a finite decimal expansion."""
    remainder = value.denominator
    for prime in (2, 5):
        while remainder % prime == 0:
            remainder //= prime
    return remainder == 1


def _letter(text: str) -> str | None:
    """A letter by itself, with its case: R is not r."""
    match = _LETTER.fullmatch(text)
    return (match["letter"] or match["text"]) if match else None


def word(text: str) -> str | None:
    """A text answer in one spelling; None for mathematics. Two letters may be a product of variables, and so may more
    that stand beside each other in the alphabet."""
    match = _TEXT.fullmatch(text)
    if match is None:
        if not (_WORDS.fullmatch(text) and re.search(r"[^\W\d_]{3}", text)):
            return None
        if len(set(text)) == len(text) and any(set(text) <= set(family) for family in _FAMILIES):
            return None
    return " ".join((match["text"] if match else text).casefold().split()).strip(".,'\"")


def _squeeze(text: str) -> str:
    """Without white space, but for that between digits."""
    return re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text)


_KINDS: tuple[tuple[Callable[[str], Any], Callable[[Any, Any], bool]], ...] = (
    (read_number, same_number),
    (read_list, _same_list),
    (_letter, operator.eq),
    (word, operator.eq),
)
"""How an answer of some kind is read, and when two of it are the same."""
