"""Token ids of a shard's contexts: a reply that many of them show is tokenized once."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from mopd.models.chat_template import ChatTemplate
from mopd.models.word_cuts import can_cut, word_cuts
from mopd.tasks.task import Message

PIECE = 1024
"""Characters of a piece, about. What stands at a reply's ends is tokenized with what surrounds it, and so again."""


class ContextTokens:
    """Tokenizes messages, and remembers pieces of what they show as long as it lives."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template
        self._can_cut = can_cut(template.tokenizer)
        self._ids: dict[str, array[int]] = {}

    def ids(self, messages: Sequence[Message], shown: Iterable[str]) -> list[int]:
        """What the template's `ids` are of the messages; `shown`: texts in them that other messages may have too."""
        if not self._can_cut:
            return self._template.ids(messages)
        text = self._template.rendered(messages)
        return [token_id for piece in _pieces(text, shown) for token_id in self._piece_ids(piece)]

    def count(self, text: str) -> int:
        """Tokens of a text by itself."""
        return sum(len(self._piece_ids(piece)) for piece in (_pieces(text, [text]) if self._can_cut else [text]))

    def _piece_ids(self, piece: str) -> array[int]:
        if piece not in self._ids:
            self._ids[piece] = array("i", self._template.tokenizer.encode(piece, add_special_tokens=False))
        return self._ids[piece]


def _pieces(text: str, shown: Iterable[str]) -> Iterator[str]:
    """The text, cut within each of the texts that it shows, where it shows them as they are."""
    cuts = {0, len(text)}
    for part in shown:
        start = text.find(part)
        if start >= 0:
            cuts.update(start + cut for cut in word_cuts(part, PIECE))
    places = sorted(cuts)
    return (text[start:end] for start, end in pairwise(places))
