"""Documents in blocks: what lies together is unpacked together, so that a big file opens at once."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flows.viewer.documents.as_json import json_text
from flows.viewer.page.html import data_script

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
        self._append([key], [_member(key, document)])

    def add_group(self, place: str, documents: Mapping[str, Any]) -> None:
        """The documents of a group by their keys; they wait for others to be packed with."""
        self._waiting[place] = [_member(key, document) for key, document in documents.items()]
        self._waiting_bytes += sum(map(len, self._waiting[place]))
        if self._waiting_bytes >= BLOCK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Pack what waits; left out where it doesn't fit."""
        if self._waiting:
            members = [member for group in self._waiting.values() for member in group]
            self.is_full |= not self._append([*self._waiting], members, self.max_bytes)
        self._waiting, self._waiting_bytes = {}, 0

    def scripts(self, directory: Mapping[str, Any]) -> Iterator[str]:
        """What a page that is a file has in place of a server: the directory says which block holds a document."""
        yield data_script("directory", json_text({**directory, "blocks": self.places}))
        for number, block in enumerate(self.blocks):
            yield data_script(f"block-{number}", block, "text/plain")

    def _append(self, places: list[str], members: list[str], most: float = float("inf")) -> bool:
        text = "{" + ",".join(members) + "}"
        block = base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()
        size = len(block) + sum(len(place) + 12 for place in places)  # and its entries in the directory
        if self.size + size > most:
            return False
        self.places |= dict.fromkeys(places, len(self.blocks))
        self.blocks.append(block)
        self.size += size
        return True


def _member(key: str, document: Any) -> str:
    return f"{json.dumps(key)}:{json_text(document)}"
