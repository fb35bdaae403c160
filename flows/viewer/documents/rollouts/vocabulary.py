"""Tokens as text: that of each id alone, and of tokens which are characters only together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from flows.viewer.documents.viewed import Json, ViewedRun

BROKEN = "\ufffd"
"""In the text of a token that is a part of a character."""
MOST_JOINED = 12
"""Tokens that are tried together."""


def vocabulary(run: ViewedRun, ids: Iterable[int] | None = None) -> Json:
    """The text of each of these token ids, or of all, and which are special; empty without the model's tokenizer."""
    texts = run.vocabulary
    known = range(len(texts)) if ids is None else sorted(number for number in set(ids) if 0 <= number < len(texts))
    added = run.tokenizer.get_added_tokens_decoder() if run.tokenizer is not None else {}
    special = [number for number in known if number in added and added[number].special]
    return {"texts": {str(number): texts[number] for number in known}, "special": special}


def token_ids(rollout: Json) -> set[int]:
    """The ids that the document of a rollout names."""
    ids = set(rollout["token_ids"])
    for reading in rollout["readings"]:
        ids.update(*reading["top"]["ids"] if reading["top"] else ())
    return ids


def join_tokens(token_ids: Sequence[int], texts: Sequence[str], decode: Callable[[Sequence[int]], str]) -> list[Json]:
    """Where tokens are characters only together: the first one, how many, and their text."""
    pieces: list[Json] = []
    first = 0
    while first < len(token_ids):
        count, text = _join(token_ids[first : first + MOST_JOINED], texts, decode)
        if count > 1:
            pieces.append({"first": first, "count": count, "text": text})
        first += count
    return pieces


def _join(ids: Sequence[int], texts: Sequence[str], decode: Callable[[Sequence[int]], str]) -> tuple[int, str]:
    """How many of the first tokens are whole characters together, and their text; 1 where none are."""
    text = texts[ids[0]] if ids[0] < len(texts) else ""
    for count in range(2, len(ids) + 1) if BROKEN in text else ():
        joined = decode(ids[:count])
        if BROKEN not in joined:
            return count, joined
    return 1, text
