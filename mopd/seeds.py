"""Seeds from names: every random stream of a run is derived from what it is for, never from a global state."""

from __future__ import annotations

import hashlib
import json
import operator


def derive_seed(*parts: int | str, bits: int = 63) -> int:
    """A seed in [0, 2**bits) that depends on every part, its place and its type: 1 is not "1", "a", "b" is not "ab".

    `derive_seed(run_seed, round, prompt_id, sample)` is the seed of one rollout, wherever and whenever it is sampled.
    `bits` is at most 256.
    """
    assert parts and 0 < bits <= 256, "a seed needs parts, and at most 256 bits"
    names = [part if isinstance(part, str) else operator.index(part) for part in parts]
    digest = hashlib.sha256(json.dumps(names).encode()).digest()
    return int.from_bytes(digest, "big") >> (256 - bits)
