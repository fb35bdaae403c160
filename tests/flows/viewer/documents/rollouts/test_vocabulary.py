"""Tokens that are a character only together are joined; the texts of a page's ids come along."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flows.viewer.documents.rollouts.vocabulary import join_tokens, vocabulary
from flows.viewer.documents.viewed import ViewedRun
from storage.runs import RunFolder

PARTS = [b"a", b" ", "\ufffd".encode(), b"b"]
PARTS += [bytes([byte]) for byte in "日本😀".encode()] + [b" \xe6\x97", b"\xa5\xe6\x9c", b"\xac"]
"""Tokens by their bytes, as those of byte-level vocabularies."""


def decode(ids: Sequence[int]) -> str:
    return b"".join(PARTS[number] for number in ids).decode(errors="replace")


TEXTS = [decode([number]) for number in range(len(PARTS))]


@pytest.mark.parametrize(
    ("ids", "joined"),
    [
        ([0, 3], []),
        ([0, 4, 5, 6, 3], [(1, 3, "日")]),
        ([4, 5, 6, 7, 8, 9], [(0, 3, "日"), (3, 3, "本")]),
        ([14, 15, 16, 0], [(0, 3, " 日本")]),
        ([10, 11, 12, 13], [(0, 4, "😀")]),
        ([2, 0], []),  # the replacement character itself
        ([0, 4, 5], []),  # cut within a character
        ([], []),
    ],
    ids=str,
)
def test_parts_of_a_character_are_joined(ids: list[int], joined: list[tuple[int, int, str]]) -> None:
    pieces = join_tokens(ids, TEXTS, decode)
    assert [(piece["first"], piece["count"], piece["text"]) for piece in pieces] == joined


def test_the_texts_of_some_ids_and_which_are_special(small_run: RunFolder) -> None:
    run = ViewedRun(small_run, "small")
    words = run.vocabulary
    special = words.index("</s>") if "</s>" in words else next(iter(run.tokenizer.get_added_tokens_decoder()))  # type: ignore[union-attr]
    some = vocabulary(run, [special, 40, 10**6])
    assert some == {"texts": {str(number): words[number] for number in sorted((special, 40))}, "special": [special]}
    assert len(vocabulary(run)["texts"]) == len(words)


def test_without_a_tokenizer_there_are_none() -> None:
    run: Any = SimpleNamespace(vocabulary=[], tokenizer=None)
    assert vocabulary(cast(ViewedRun, run), [1]) == {"texts": {}, "special": []}
