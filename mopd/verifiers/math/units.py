"""Units and number words at the end of an answer, and degrees: what of them is part of the value."""

from __future__ import annotations

import re

SCALES = {"hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
_SHORT = """
    m cm mm km nm dm g kg mg s ms min h hr hrs L l mL ml N J kJ W kW V A C F K T Hz Pa kPa mol ft in yd mi mph kph kmh
    lb lbs oz gal sec deg rad eV cal kcal ha bps
"""
_KNOWN = frozenset(_SHORT.split())
"""Short units, as they are written; longer ones are words."""
_LETTERS = {
    "m": ("meter", "metre"),
    "g": ("gram",),
    "s": ("sec",),
    "h": ("hour", "hr"),
    "l": ("liter", "litre"),
    "n": ("newton",),
    "j": ("joule",),
    "w": ("watt",),
    "v": ("volt",),
    "a": ("amp",),
    "c": ("celsius",),
    "f": ("fahrenheit",),
    "k": ("kelvin",),
}
"""What a unit of one letter is short for: "m" is no mile."""
_NO_UNIT = re.compile(
    r"(?:or|and|to|by|mod|plus|minus|times|over|pi|sqrt|sin|cos|tan|log|ln|exp|factorial|dozens?|hundreds?|thousands?"
    r"|millions?|billions?|trillions?|halves|half|thirds?|quarters?|fourths?|fifths?|sixths?|eighths?|tenths?"
    r"|hundredths?|thousandths?|if|for|where|when|infinity)\b",
    re.IGNORECASE,
)
_PREFIX = r"(?:(?:sq|cu|square|cubic)\b\.? *)?"
_WORD = r"[A-Za-zµΩ]+(?: [A-Za-z]+){0,3}"
_EXPONENT = r"(?: *\^ *\{? *-?\d *\}?)?"
_UNIT_TEXT = rf"{_PREFIX}{_WORD}\.?{_EXPONENT}(?: *(?:/|\\cdot|per) *{_WORD}\.?{_EXPONENT})*"
_BARE = re.compile(rf"(?P<body>[-+]?[\d.,/\u066c]+|[^A-Za-z]*\}}) ?(?P<unit>{_UNIT_TEXT})")
_TEXT = re.compile(
    r"(?P<body>.+?)(?P<gap>\s*)\\text\s*\{(?P<unit>[^{}]*)\}"
    rf"(?P<rest>{_EXPONENT}(?: */ *\\text\s*\{{[^{{}}]*\}}{_EXPONENT})?)"
)
_SCALED = re.compile(
    r"(?P<number>[-+]?[\d.,\u066c]+|\\frac\{\d+\}\{\d+\}) *(?:\\text\s*\{\s*)?"
    rf"(?P<word>{'|'.join(SCALES)})s?\b(?P<rest>[^{{}}]*)\}}?",
    re.IGNORECASE,
)
_DEGREES = re.compile(
    r"(?P<angle>\d+(?:\.\d+)?|[A-Za-z]|\\[A-Za-z]+|\([^()]*\)|\\frac\{[^{}]*\}\{[^{}]*\}) *\^\\circ ?"
)
_TRIGONOMETRIC = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])")


def scaled(text: str) -> str:
    """ "5 million" as a product; anything else as it is."""
    match = _SCALED.fullmatch(text)
    if match is None:
        return text
    unit = match["rest"].strip()
    product = rf"{match['number']} \times {SCALES[match['word'].casefold()]}"
    return rf"{product}\text{{ {unit}}}" if unit else product


def split_unit(text: str) -> tuple[str, str]:
    """An answer without its unit; and the unit, "" where there is none."""
    match = _TEXT.fullmatch(text)
    if match is not None:
        unit = match["unit"]
        if _is_unit(unit.strip()) or (unit != unit.lstrip() and len(unit.strip()) > 1):
            return (text, "") if _NO_UNIT.match(unit.strip()) else (match["body"].strip(), _named(unit, match["rest"]))
        return text, ""
    match = _BARE.fullmatch(text)
    if match is None or _NO_UNIT.match(match["unit"]) or not re.search(r"\d", match["body"]):
        return text, ""
    first = re.split(r"[\s/^.]", match["unit"])[0]
    if len(first) < 2 and first not in _KNOWN:
        return text, ""
    if text[len(match["body"])] != " " and (first not in _KNOWN or (len(first) == 1 and first.isupper())):
        return text, ""
    return match["body"].strip(), _named(match["unit"], "")


def _is_unit(name: str) -> bool:
    head = re.split(r"[\s/^.]", name)[0] if name else ""
    return head in _KNOWN or (len(head) > 2 and head.isalpha())


def _named(unit: str, symbols: str) -> str:
    symbols = re.sub(r"\\text\s*", "", symbols)
    return re.sub(r"[{} ]", "", f"{unit.strip()}{symbols}").casefold() if symbols or unit else ""


def same_unit(first: str, second: str) -> bool:
    """ "cm" is "centimeters", "m" isn't "cm": an abbreviation's letters stand in the word, beginning with its first."""
    (short, power), (long, other_power) = sorted(map(_unit_and_power, (first, second)), key=lambda unit: len(unit[0]))
    if power != other_power:
        return False
    if short == long or short + "s" == long:
        return True
    if len(short) == 1:
        return long.startswith(_LETTERS.get(short, short + "-"))
    if len(short) > 3 or len(long) <= 3 or short[:1] != long[:1]:
        return False
    letters = iter(long)
    return all(letter in letters for letter in short)


def _unit_and_power(unit: str) -> tuple[str, str]:
    unit = re.sub(r"[\s.{}]", "", unit)
    for word, power in (("square", "^2"), ("sq", "^2"), ("cubic", "^3"), ("cu", "^3")):
        if unit.startswith(word) and len(unit) > len(word) + 1:
            unit = unit.removeprefix(word) + power
            break
    name, _, power = unit.partition("^")
    return name, power


def resolve_degrees(first: str, second: str) -> tuple[str, str]:
    """Both answers without degree signs: those of angles within functions, and one that stands against a multiple of
    pi, are worth pi/180; any other says no more than a unit."""
    in_function = [_TRIGONOMETRIC.search(text) is not None for text in (first, second)]
    against_pi = [
        "^\\circ" in angle and "^\\circ" not in opposite and "\\pi" in opposite
        for angle, opposite in ((first, second), (second, first))
    ]
    texts = []
    for text, inside, against in zip((first, second), in_function, against_pi):
        if inside or against:
            text = _DEGREES.sub(r"{(\g<angle>\\cdot\\frac{\\pi}{180})}", text)
        texts.append(re.sub(r"\s*\^\\circ ?", "", text).strip())
    return texts[0], texts[1]
