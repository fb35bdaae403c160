"""What a manifest says of how its shard was made, beside its key: that hashes it, and a hash tells nobody."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from flows.plan.shard import Shard
from flows.plan.stage import STAGES, Json, key_tree
from mopd.settings import Settings
from storage.keys import json_text


def provenance(shard: Shard) -> Json:
    """The version of its stage, what its settings hash to, and how often it was tried."""
    return {
        "stage_version": STAGES[shard.table].version,
        "settings_digest": settings_digest(shard.table, shard.settings),
        "attempts": shard.attempt,
    }


def settings_slice(table: str, settings: Settings) -> Json:
    """The settings that enter the keys of a table's shards; the number of their round stands beside them there."""
    return STAGES[table].settings(settings, key_tree(settings))


@lru_cache(maxsize=64)
def settings_digest(table: str, settings: Settings) -> str:
    """sha256 (hex) of `settings_slice`: equal in all rounds that were made under the same settings."""
    return hashlib.sha256(json_text(settings_slice(table, settings)).encode()).hexdigest()
