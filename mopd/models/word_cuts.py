"""Where text may be cut so that the token ids of its pieces, one behind the other, are those of the whole.

Byte-level BPE merges within words alone, and what is a word its pre-tokenizer says: an expression that goes from left
to right and looks ahead by a character, of spaces only. In all that are known here a space between two ASCII letters
begins a word whatever stands around it, so text may be cut before it.
"""

from __future__ import annotations

import json
import re
from typing import Any

_BETWEEN_WORDS = re.compile(r"(?<=[A-Za-z]) (?=[A-Za-z])")
_START = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?"
_END = r"[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
WORDS = {
    "Qwen3": rf"{_START}\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+{_END}",
    "Qwen3.5": rf"{_START}[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+{_END}",
    "Llama 3": rf"{_START}\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+{_END}",
}
"""Expressions that are known, beside GPT-2's, which SmolLM has too and which is built in where it is used."""


def can_cut(tokenizer: Any) -> bool:
    """Whether `word_cuts` may be cut at, with this tokenizer; not where it isn't of a known kind."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or backend.pre_tokenizer is None or type(backend.normalizer).__name__ not in ("NoneType", "NFC"):
        return False
    if type(backend.model).__name__ != "BPE" or backend.model.dropout:
        return False
    added = tokenizer.added_tokens_decoder.values()
    if any(re.search(r"\s", token.content) or token.lstrip or token.rstrip or token.single_word for token in added):
        return False  # it might reach across a cut, or look there
    steps = _steps(json.loads(backend.pre_tokenizer.__getstate__()))
    return all(map(_keeps_cuts, steps)) and any(map(_finds_words, steps))


def word_cuts(text: str, distance: int) -> list[int]:
    """Places to cut: the first between two words, then each time the first that is `distance` characters on."""
    cuts: list[int] = []
    while (place := _BETWEEN_WORDS.search(text, cuts[-1] + distance if cuts else 0)) is not None:
        cuts.append(place.start())
    return cuts


def _steps(step: dict[str, Any]) -> list[dict[str, Any]]:
    """What a pre-tokenizer is a sequence of."""
    return [part for parts in step["pretokenizers"] for part in _steps(parts)] if "pretokenizers" in step else [step]


def _keeps_cuts(step: dict[str, Any]) -> bool:
    return step["type"] == "Digits" or (step["type"] == "ByteLevel" and not step["add_prefix_space"]) or _is_split(step)


def _finds_words(step: dict[str, Any]) -> bool:
    return _is_split(step) or (step["type"] == "ByteLevel" and step["use_regex"])


def _is_split(step: dict[str, Any]) -> bool:
    expression = step["pattern"].get("Regex") if step["type"] == "Split" else None
    return expression in WORDS.values() and step["behavior"] == "Isolated" and not step["invert"]
