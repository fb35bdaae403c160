"""Documents in blocks: what lies together is unpacked together, so that a big file opens at once."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flows.viewer.documents.as_json import json_text
from flows.viewer.page.html import data_script

ENTRY_BYTES = 12
"""Of a document in the directory, beside its key."""
TAG_BYTES = 80
"""Of a block in the page, beside its content."""
BLOCK_BYTES = 256_000
"""Of JSON, before it is packed: some groups, a fraction of a second to unpack."""


@dataclass
class Packer:
    """The data of a file, of at most so many bytes but for what it must have."""

    max_bytes: float
    blocks: list[str] = field(default_factory=list)
    """gzip in base64: each a JSON object of documents by their keys."""
    places: dict[str, int] = field(default_factory=dict)
    """The block of a document that is asked for alone, or of a group with all that belongs to it."""
    size: int = 0
    is_full: bool = False
    """Some group didn't fit."""
    _waiting: dict[str, list[str]] = field(default_factory=dict)
    _waiting_bytes: int = 0

    def add(self, key: str, document: Any) -> None:
        """A document that the file must have, in a block of its own."""
        self._append([key], packed({key: document}))

    def has_room(self, documents: Mapping[str, Any]) -> bool:
        """Whether these documents fit, each in a block of its own."""
        return (
            self.size + sum(_cost([key], packed({key: document})) for key, document in documents.items())
            <= self.max_bytes
        )

    def drop_last(self) -> None:
        """Leave out what was packed last."""
        places = [place for place, number in self.places.items() if number == len(self.blocks) - 1]
        self.size -= _cost(places, self.blocks.pop())
        for place in places:
            del self.places[place]
        self.is_full = True

    def add_group(self, place: str, documents: Mapping[str, Any]) -> None:
        """The documents of a group by their keys; they wait for others to be packed with."""
        self._waiting[place] = [_member(key, document) for key, document in documents.items()]
        self._waiting_bytes += sum(map(len, self._waiting[place]))
        if self._waiting_bytes >= BLOCK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Pack what waits; left out where it doesn't fit."""
        if self._waiting:
            places = [*self._waiting]
            block = _pack([member for group in self._waiting.values() for member in group])
            if self.size + _cost(places, block) > self.max_bytes:
                self.is_full = True
            else:
                self._append(places, block)
        self._waiting, self._waiting_bytes = {}, 0

    def scripts(self, directory: Mapping[str, Any]) -> Iterator[str]:
        """What a page that is a file has in place of a server: the directory says which block holds a document."""
        yield data_script("directory", json_text({**directory, "blocks": self.places}))
        for number, block in enumerate(self.blocks):
            yield data_script(f"block-{number}", block, "text/plain")

    def _append(self, places: list[str], block: str) -> None:
        self.places |= dict.fromkeys(places, len(self.blocks))
        self.blocks.append(block)
        self.size += _cost(places, block)


def packed(documents: Mapping[str, Any]) -> str:
    """A block of some documents by their keys."""
    return _pack([_member(key, document) for key, document in documents.items()])


def _pack(members: Sequence[str]) -> str:
    text = "{" + ",".join(members) + "}"
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()


def _cost(places: Sequence[str], block: str) -> int:
    """Bytes of a block in the page, and of its entries in the directory."""
    return len(block) + TAG_BYTES + sum(len(place) + ENTRY_BYTES for place in places)


def _member(key: str, document: Any) -> str:
    return f"{json.dumps(key)}:{json_text(document)}"
