"""Keys of shards: what decides a shard's content, as one hash."""

from __future__ import annotations

import hashlib
import json
from typing import Any

_KEY_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def shard_key(
    stage: str,
    *,
    version: int,
    settings: dict[str, Any] | JsonText,
    model: str,
    inputs: list[str],
    seed: int,
    shard: int,
) -> str:
    """sha256 (hex) of all that decides a shard's content. `inputs`: what identifies its input shards, in order.

    `settings` must be plain JSON (pydantic: `model_dump(mode="json")`), or `json_text` of it; TypeError otherwise.
    """
    parts = (stage, version, settings, model, inputs, seed, shard)
    texts = (part if isinstance(part, JsonText) else json_text(part) for part in parts)
    return hashlib.sha256(f"[{','.join(texts)}]".encode()).hexdigest()


class JsonText(str):
    """Plain JSON that was written already: many shards have the same settings."""


def json_text(value: Any) -> JsonText:
    """Plain JSON as keys hash it: sorted, without blanks."""
    return JsonText(_KEY_JSON.encode(value))
