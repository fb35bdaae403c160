"""One spelling for mathematical answers, however people and models write them."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

_SIGNS = {
    "\u2212": "-",
    "\u2013": "-",
    "×": r"\times ",
    "÷": r"\div ",
    "·": r"\cdot ",
    "⋅": r"\cdot ",
    "∗": "*",
    "π": r"\pi ",
    "θ": r"\theta ",
    "α": r"\alpha ",
    "β": r"\beta ",
    "∞": r"\infty ",
    "∪": r"\cup ",
    "∩": r"\cap ",
    "∈": r"\in ",
    "∅": r"\emptyset ",
    "≤": r"\le ",
    "≥": r"\ge ",
    "≠": r"\ne ",
    "≈": r"\approx ",
    "±": r"\pm ",
    "ℝ": r"\mathbb{R}",
    "°": r"^\circ ",
    "º": r"^\circ ",
    "\u202f": r"\,",
    "\u2009": r"\,",
    "\u00a0": " ",
}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_POWER = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
_VULGAR = re.compile("[¼½¾⅐-⅞]")
_ROOT = re.compile(r"(?P<root>[√∛∜])\s*(?:(?P<open>[({])|(?P<plain>\d+(?:\.\d+)?|[A-Za-z]|\\[A-Za-z]+))")
_ROOTS = {"√": r"\sqrt", "∛": r"\sqrt[3]", "∜": r"\sqrt[4]"}
_FUNCTIONS = "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|ln|log|lg|exp|sqrt"
_ROW = re.compile(r"\\\\\s*(?:\[[^\]]*\])?\s*|\\cr(?![A-Za-z])\s*")
_BEFORE = re.compile(r"^(?:\s|=|\\(?:approx|simeq|sim|equiv)(?![A-Za-z])|\+(?=\s*(?:\d|\.|\\infty|\\frac)))+")
_AFTER = re.compile(r"[\s,;.]+$")

_REWRITES = [
    (re.compile(pattern), with_)
    for pattern, with_ in (
        (r"\\(?:boxed|fbox)\s*(?=\{)", ""),
        (r"\\(?:left|right|big|Big|bigg|Bigg)(?![A-Za-z])\.?", ""),
        (r"(?<!\\)\\!", ""),
        (r"\{,\}|(?<=\d)(?<!\\)\\,(?=\d{3}(?!\d))", "\u066c"),  # a thousands sign, and nothing else
        (r"(?:,\s*)?\\q?quad(?![A-Za-z])", ", "),
        (r"(?<!\\)\\[,;:> ]|~", " "),
        (r"\\[dtc]frac", r"\\frac"),
        (r"\\frac\s*(\d)\s*(\d)(?!\d)", r"\\frac{\1}{\2}"),
        (r"\\(?:mathbf|boldsymbol|bm|vec|mathit)\s*\{\s*([A-Za-z])\s*\}", r" \1 "),
        (r"\\(?:textbf|textit|textrm|textnormal|mathrm|mathbf|mbox|operatorname)\s*(?=\{)", r"\\text"),
        (r"\\text\{\s*([:;,])\s*\}", r"\1"),
        (r"\s*\\?%|\s*\\text\{\s*per ?cent\s*\}|\s+per ?cent$", "%"),
        (r"\\[$£€]|[$£€]", ""),
        (r"\^\s*(?:\\circ(?![A-Za-z])|\{\s*\\circ\s*\})|\\degree(?![A-Za-z])", r"^\\circ "),
        (r"\s*\\text\{\s*degrees?\s*\}$|(?<=\d)\s+degrees?$", r"^\\circ "),
        (r"\\varnothing|\\\{\s*\\\}", r"\\emptyset"),
        (r"^\\text\{\s*infinity\s*\}$|^infinity$", r"\\infty"),
        (r"(?<![A-Za-z\\])pi(?![A-Za-z])", r"\\pi "),
        (r"(?<![A-Za-z\\])sqrt\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"\\text\{\s*(?P<name>" + _FUNCTIONS + r")\s*\}", r"\\\g<name> "),
        (r"(?<![A-Za-z\\])(?P<name>" + _FUNCTIONS + r")(?=[\s(_^\d{\\]|$)", r"\\\g<name> "),
        (r"\*\*\s*(-?\d+)", r"^{\1}"),
        (r"(?<![\w.])(\d+(?:\.\d+)?)[eE]([-+]?\d{1,3})(?!\w)", r"\1 \\times 10^{\2}"),
        (r"\s+", " "),
    )
]
_SPACED_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?: \d{3})+(?:\.\d+)?%?")
_REPEATING = re.compile(
    r"(?<![\w.])(?P<whole>\d+)\.(?P<once>\d*)"
    r"(?:\\(?:overline|bar|dot)\s*\{(?P<again>\d+)\}|\\dot\s*(?P<dotted>\d)|\((?P<round>\d+)\))(?![\w(])"
)


def spelled(text: str) -> str:
    """The answer in one spelling: LaTeX without boxes, delimiters, spacing, currency and fonts.

    Degrees stay as `^\\circ`, text as `\\text{...}`; a comma within a number, where it is one beyond doubt, becomes
    "\u066c".
    """
    text = _from_unicode(text)
    text = _ROW.sub(r"\\\\", text)
    for pattern, with_ in _REWRITES:
        text = pattern.sub(with_, text)
    text = _without_exp(_REPEATING.sub(_as_fraction, text))
    text = _BEFORE.sub("", unwrapped(text))
    if _SPACED_THOUSANDS.fullmatch(text):
        text = text.replace(" ", "\u066c")
    return unwrapped(text)


def _from_unicode(text: str) -> str:
    for sign, name in _SIGNS.items():
        text = text.replace(sign, name)
    text = _POWER.sub(lambda match: "^{" + match[0].translate(_SUPERSCRIPTS) + "}", text)
    text = _VULGAR.sub(_vulgar, text)
    while (match := _ROOT.search(text)) is not None:
        text = text[: match.start()] + _rooted(match, text)
    return text


def _vulgar(match: re.Match[str]) -> str:
    top, _, bottom = unicodedata.normalize("NFKC", match[0]).partition("\u2044")
    return rf"\frac{{{top}}}{{{bottom}}}" if bottom else match[0]


def _rooted(match: re.Match[str], text: str) -> str:
    """The text from a root's sign on, in LaTeX."""
    root = _ROOTS[match["root"]]
    if match["plain"]:
        return f"{root}{{{match['plain']}}}{text[match.end() :]}"
    end = closing(text, match.end() - 1)
    if end is None:
        return f"{root} {text[match.end() - 1 :]}"
    return f"{root}{{{text[match.end() : end]}}}{text[end + 1 :]}"


def closing(text: str, start: int) -> int | None:
    """Where the bracket that opens at `start` closes; None where it doesn't."""
    pairs = {"(": ")", "{": "}", "[": "]"}
    depth = 0
    for place in range(start, len(text)):
        if text[place] == text[start]:
            depth += 1
        elif text[place] == pairs[text[start]]:
            depth -= 1
            if depth == 0:
                return place
    return None


def _without_exp(text: str) -> str:
    """`\\exp(...)` as a power of e."""
    while (match := re.search(r"\\exp\s*(?=[({])", text)) is not None:
        end = closing(text, match.end())
        if end is None:
            return text
        text = f"{text[: match.start()]}e^{{{text[match.end() + 1 : end]}}}{text[end + 1 :]}"
    return text


def _as_fraction(match: re.Match[str]) -> str:
    again = match["again"] or match["dotted"] or match["round"]
    once = match["once"]
    value = Fraction(int(match["whole"] + once + again) - int(match["whole"] + once), 10 ** len(once))
    value /= 10 ** len(again) - 1
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def unwrapped(text: str) -> str:
    """Without what wraps the whole: white space, braces, math delimiters, signs after it, text around numbers."""
    before = None
    while text != before:
        before = text
        text = _AFTER.sub("", text.strip())
        if text.endswith("\\"):  # "\\ " or "\\," at the end
            text = text[:-1]
        for opening, closed in ((r"\(", r"\)"), (r"\[", r"\]"), ("{", "}")):
            inner = text[len(opening) : -len(closed)]
            if text.startswith(opening) and text.endswith(closed) and _balanced(inner):
                text = inner
        match = re.fullmatch(r"\\text\s*\{(?P<text>[^{}]*)\}", text)
        if match and re.search(r"\d", match["text"]):
            text = match["text"]
    return text


def _balanced(text: str) -> bool:
    depth = 0
    for brace in re.findall(r"\\.|[{}]", text):
        depth += {"{": 1, "}": -1}.get(brace, 0)
        if depth < 0:
            return False
    return depth == 0 and not text.endswith("\\")
