r"""Finds the numbers of a text, as people and models write them, and reads them exactly.

A number is a sign, digits (thousands apart by commas, LaTeX's {,} or single spaces), decimals, with or without a digit
before the point; scientific notation (1.5e3, 1.5 \times 10^{3}); a power of whole numbers (2^10, 2**10, 10³); a
fraction (1/2, \frac12, ½); a whole number and a fraction (2 1/2, 2\frac12, 2 and 1/2). No number, nor any part of one,
is: an ordinal (3rd), digits within a word or behind its hyphen (B12, x2, CO₂, GPT-4), an exponent or index (cm^2,
x_{1}), what a root, pi or an unreadable exponent belongs to (5\sqrt{2}, 2^n), a time, ratio, date or version (10:30,
3.11.2).
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

MAX_LENGTH = 1000
"""Longer texts are no answers."""
MAX_EXPONENT = 300
"""Of ten; a number that is more than digits has at most so many characters, its value about three times so many."""

_DASHES = dict.fromkeys(map(ord, "\u2212\u2013\u2012\u2011\u2010\uff0d"), "-")
_SPACES = dict.fromkeys(map(ord, "\u00a0\u2007\u2009\u202f"), " ") | {ord("\u2044"): "/"}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_VULGAR = re.compile(r"(?P<digit>[0-9]?) ?(?P<sign>[\u00bc-\u00be\u2150-\u215e])")
_REWRITES = [
    (re.compile(pattern), with_)
    for pattern, with_ in (
        (r"\\!", ""),
        (r"\\[,;: ]|~", " "),
        (r"\{,\}", ","),
        (r"-\s?(?:\\?[$£€¥])", "-"),
        (r"\\?[$£€¥]", " "),
        (r"\^\s?(?:\\circ\b|\{\s?\\circ\s?\}|°)", " "),
        (r"\\[dtc]?frac\s?\{\s?(-?)\s?([0-9.]+)\s?\}\s?\{\s?([0-9.]+)\s?\}", r" \1\2/\3 "),
        (r"\\[dtc]?frac\s?([0-9])\s?([0-9])", r" \1/\2 "),
        (r"-\s(?=[0-9]+(?:\.[0-9]+)?/[0-9])", "-"),
        (r"\\[dtc]?frac\s?\{[^{}]*\}\s?\{[^{}]*\}", " x "),
        (r"\\sqrt\s?(?:\[[^\[\]]*\])?\s?(?:\{[^{}]*\}|[0-9])|√\s?(?:\([^()]*\)|[0-9.]+)|sqrt\([^()]*\)", "√ "),
        (r"_\s?\{[^{}]*\}", "_ "),
        (r"(?<=[A-Za-z)}\]])\s?(?:\^|\*\*)\s?(?:\{[^{}]*\}|[-+]?[0-9]+)", "^ "),
        (r"(?<=[0-9])\s?\^\s?\{?(?:\\(?:text|mathrm)\s?\{)?(?=(?:st|nd|rd|th)\b)", ""),
        (r"(?<=[=≈])\s*-\s+(?=[0-9.])", " -"),
        (r"\bnegative\s+(?=[0-9.])", "-"),
    )
]
_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[1-9][0-9]{0,2}(?:[ ][0-9]{3})+(?![0-9])|[0-9]+)"
_RUN = re.compile(
    rf"""
    (?: (?<! [0-9A-Za-z_)\]] ) (?P<minus> - ) )?                  # a sign, not the operator of "10-5"
    (?<! [0-9A-Za-z_] ) (?<! [A-Za-z][-/] ) (?<! [)}}\]]/ )
    (?P<first> {_DIGITS} (?: \.[0-9]+ )* | (?<! \. ) \.[0-9]+ )
    (?P<ten_power> [eE][-+]?[0-9]+ (?![0-9A-Za-z_]) )?
    (?P<rest> (?:
          \ ? (?: \\times | \\cdot | [×·*x] ) \ ? 10 (?= \ ?\^ | \*\* )
        | \ ?\^\ ? (?: \{{\ ?[-+]?[0-9]+\ ?\}} | [-+]?[0-9]+ )
        | \*\*[-+]?[0-9]+
        | \ ?/\ ?[0-9]+ (?: \.[0-9]+ )*
        | :[0-9]+
        | (?: \ {{1,3}} | \ {{1,2}}and\ {{1,2}} ) [0-9]+\ ?/\ ?[0-9]+
        | (?<= [0-9]{{4}} ) -[0-9]{{1,2}}-[0-9]{{1,2}}
    )* )
    (?P<tail>
        \ ?[)\]}}]*\ ?\^ (?: \ ?\{{[^{{}}]*\}} )?
      | \*\*(?=[({{]) | \ ?(?: √ | \\?pi\b | π ) | (?: st | nd | rd | th )\b
    )?
    (?! [0-9] )
    """,
    re.VERBOSE,
)
_SCIENTIFIC = re.compile(r" ?(?:\\times|\\cdot|[×·*x]) ?10(?: ?\^ ?|\*\*)\{? ?([-+]?[0-9]{1,4}) ?\}?")
_POWER = re.compile(r"(?: ?\^ ?|\*\*)\{? ?([-+]?[0-9]{1,4}) ?\}?")
_FRACTION = re.compile(r" ?/ ?([0-9]+(?:\.[0-9]+)?)")
_MIXED = re.compile(r"(?: {1,3}| +and +)([0-9]+) ?/ ?([0-9]+)")


def find_numbers(text: str) -> list[str]:
    """The numbers of a text in their order, each in canonical form, which `Fraction` reads: "+1,050.50" is "1050.5",
    "007" is "7", "2 1/2" is "2.5", "2/6" is "1/3"."""
    numbers = (_read(match) for match in _RUN.finditer(_plain(text)))
    return [number for number in numbers if number is not None]


def _plain(text: str) -> str:
    """The text with one way to write a sign, a space, a fraction and a power."""
    text = text.translate(_DASHES).translate(_SPACES)
    text = re.sub(r"[⁻⁺]?[⁰¹²³⁴-⁹]+", lambda match: "^{" + match[0].translate(_SUPERSCRIPTS) + "}", text)
    text = _VULGAR.sub(_spelled, text)
    for pattern, with_ in _REWRITES:
        text = pattern.sub(with_, text)
    return text


def _spelled(match: re.Match[str]) -> str:
    fraction = unicodedata.normalize("NFKC", match["sign"]).replace("\u2044", "/")
    return f"{match['digit']} {fraction}" if match["digit"] else fraction


def _read(match: re.Match[str]) -> str | None:
    """The number that a run of digits and what joins them is; None where it is none."""
    first, tail = match["first"].replace(",", "").replace(" ", ""), match["rest"]
    if match["tail"] or first.count(".") > 1:
        return None
    if not tail and not match["ten_power"]:
        return _signed(_decimal(first), match["minus"])
    if len(match[0]) > MAX_EXPONENT:
        return None
    value = _value(first, match["ten_power"] or "", tail)
    return None if value is None else _signed(_canonical(value), match["minus"])


def _value(first: str, ten_power: str, tail: str) -> Fraction | None:
    exponent = int(ten_power[1:] or 0)
    if abs(exponent) > MAX_EXPONENT:
        return None
    value = Fraction(first) * Fraction(10) ** exponent
    if not tail:
        return value
    if match := _SCIENTIFIC.fullmatch(tail):
        return value * Fraction(10) ** int(match[1]) if abs(int(match[1])) <= MAX_EXPONENT else None
    if match := _POWER.fullmatch(tail):
        return _power(value, int(match[1]))
    if match := _FRACTION.fullmatch(tail):
        return value / Fraction(match[1]) if Fraction(match[1]) else None
    if (match := _MIXED.fullmatch(tail)) and value.denominator == 1 and int(match[1]) < int(match[2]):
        return value + Fraction(int(match[1]), int(match[2]))
    return None


def _power(base: Fraction, exponent: int) -> Fraction | None:
    """None where there is none, or it would fill pages."""
    if (base == 0 and exponent <= 0) or abs(exponent) * len(str(base)) > 3 * MAX_EXPONENT:
        return None
    return base**exponent


def _decimal(digits: str) -> str:
    """Text, not int(): a reply of ten thousand digits is legal, and Python refuses to convert it."""
    integer, _, fraction = digits.partition(".")
    integer, fraction = integer.lstrip("0") or "0", fraction.rstrip("0")
    return f"{integer}.{fraction}" if fraction else integer


def _canonical(value: Fraction) -> str:
    """Digits where they end, else a fraction."""
    if value.denominator == 1 or not _ends(value.denominator):
        return str(value)
    places = value.denominator.bit_length()  # 2**a * 5**b divides 10**places, since a and b are below it
    digits = str(value.numerator * 10**places // value.denominator).rjust(places + 1, "0")
    return _decimal(f"{digits[:-places]}.{digits[-places:]}")


def _ends(bottom: int) -> bool:
    """Whether fractions over this number can be written in digits."""
    for prime in (2, 5):
        while bottom % prime == 0:
            bottom //= prime
    return bottom == 1


def _signed(number: str, minus: str | None) -> str:
    return f"-{number}" if minus and number != "0" else number
