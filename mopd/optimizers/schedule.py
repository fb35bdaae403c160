"""The learning rate of an update."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # training runs where pydantic is not installed
    from mopd.settings import Settings, TrainSettings

DECAYS = {
    "constant": lambda progress: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: 0.5 * (1.0 + math.cos(math.pi * progress)),
}
"""Share of `train.learning_rate` by how much of what follows the warm-up is behind."""


def learning_rate(train: TrainSettings, *, step: int, update: int, num_updates: int) -> float:
    """After `step` optimizer steps in `update` updates of a run of `num_updates`.

    It rises with the steps, and falls with the updates: one that took no step is a part of the run all the same. The
    last update still has one, as in transformers' schedules.
    """
    warm_up = min(1.0, (step + 1) / max(train.warmup_steps, 1))
    behind, length = update - train.warmup_steps, num_updates - train.warmup_steps
    progress = min(max(behind / max(length, 1), 0.0), 1.0)
    return train.learning_rate * warm_up * DECAYS[train.schedule](progress)


def updates_of_run(settings: Settings) -> int:
    """Updates of all rounds: what a falling rate falls over."""
    return settings.rounds * settings.train.epochs * settings.train.updates_per_round
