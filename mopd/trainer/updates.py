"""Which rollouts each optimizer step of a round trains on. Needs no torch, so that it can be asked at any time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from mopd.engines.stops import LENGTH
from mopd.seeds import derive_seed

if TYPE_CHECKING:  # scoring and training run where pydantic is not installed
    from mopd.settings import Settings, TrainSettings

Rows = list[dict[str, Any]]


def split_updates(scores: Rows, settings: Settings, *, round: int) -> Iterator[Rows]:
    """The rollouts of each optimizer step: whole groups, in a seeded order, split evenly."""
    groups: dict[str, Rows] = {}
    for row in scores:
        groups.setdefault(row["prompt_id"], []).append(row)
    for epoch in range(settings.train.epochs):
        names = list(groups)
        random.Random(derive_seed("train", settings.seed, round, epoch)).shuffle(names)
        for part in np.array_split(np.arange(len(names)), min(settings.train.updates_per_round, max(len(names), 1))):
            yield [row for index in part for row in groups[names[index]]]


def enters_update(row: dict[str, Any], num_tokens: int, train: TrainSettings) -> bool:
    """Whether a rollout has a part in its update: not without tokens, nor cut at the longest response where those are
    left out."""
    return num_tokens > 0 and not (train.mask_truncated and row["finish_reason"] == LENGTH)
