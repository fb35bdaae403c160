"""Checkpoints within a round: what training goes on from where it was killed, with the same result.

One is a trainer state (`mopd.trainer.state`) with the reports of the updates so far beside it. Where it lies, and how
it gets there whole, is the caller's business.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from mopd.trainer.ranks import Ranks
from mopd.trainer.state import TrainerState, save_state

Rows = list[dict[str, Any]]
UPDATES = "updates.json"


class Checkpoints(Protocol):
    """Where those of one round lie."""

    def newest(self) -> Path | None:
        """The folder of the last one that is whole."""

    def write(self, number: int, write: Callable[[Path], None]) -> None:
        """Keep the folder that `write` fills, after `number` updates, in place of those that are there."""


def is_due(every: int | None, number: int, num_updates: int) -> bool:
    """Whether there is one after `number` updates of a round: not after the last one, which the round itself saves."""
    return every is not None and number % every == 0 and number < num_updates


def find_checkpoint(checkpoints: Checkpoints | None, ranks: Ranks) -> Path | None:
    """The one to go on from: what rank 0 finds, if all ranks see it, which may be on hosts that share no folder."""
    newest = ranks.gather(checkpoints.newest() if checkpoints is not None else None)[0]
    is_seen = newest is not None and newest.is_dir()
    return newest if all(ranks.gather(is_seen)) else None


def read_updates(checkpoint: Path | None) -> Rows:
    """Reports of the updates before it."""
    if checkpoint is None:
        return []
    updates: Rows = json.loads((checkpoint / UPDATES).read_text())
    return updates


def save_checkpoint(checkpoints: Checkpoints | None, state: TrainerState, source: Path, updates: Rows) -> None:
    """Leave one, whoever of the ranks asks last; rank 0 writes. Tokenizer files are copied from `source`."""
    assert checkpoints is not None, "who sets train.checkpoint_every_updates says where they lie"
    if not state.ranks.is_first:
        save_state(state, source, None)
        return

    def write(folder: Path) -> None:
        save_state(state, source, folder)
        (folder / UPDATES).write_text(json.dumps(updates))

    checkpoints.write(len(updates), write)
