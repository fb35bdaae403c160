"""What a run writes, by arithmetic: the shards of a round as long as its settings allow, policies, trainer states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mopd.memory.footprint import BFLOAT16, FLOAT32, weight_bytes
from mopd.memory.sizes import Lengths, Models, Parts
from mopd.memory.training import optimizer_bytes
from mopd.objectives import needs_support

if TYPE_CHECKING:
    from mopd.settings import Settings

TOKEN = 12
"""Bytes of a sampled token in `rollouts`: its id, its log-probability, its text."""
CONTEXT_TOKEN = 8
"""Of a context's: its id, and its text in the messages."""
SCORED_TOKEN = 16
"""Of a token in `scores`, its support left out: its id, and three log-probabilities."""
SUPPORT_ENTRY = 8
"""Of an id of the support with the teacher's log-probability, before compression."""


def shard_bytes(settings: Settings) -> Parts:
    """The tables of a round, at most and before compression; what is not named here is small beside them."""
    lengths, generate = Lengths.of(settings), settings.generate
    most = generate.groups.max_oversample if generate.groups.kind != "all" else 1.0
    asked = round(most * generate.num_prompts) * generate.num_samples
    scored = generate.num_prompts * generate.num_samples
    entries = settings.score.top_k if needs_support(settings) else 0
    return {
        "rollouts": asked * (TOKEN * lengths.response + FLOAT32 * lengths.prompt),
        "contexts": scored * CONTEXT_TOKEN * lengths.context,
        "scores": scored * (lengths.response * (SCORED_TOKEN + SUPPORT_ENTRY * entries) + FLOAT32 * lengths.prompt),
    }


def policy_bytes(settings: Settings, models: Models) -> int:
    """A policy, which is kept: weights as they are trained, and an adapter beside them."""
    linear = FLOAT32 if settings.train.master_weights == "float32" else BFLOAT16
    return weight_bytes(models.student, linear) + FLOAT32 * models.student.num_adapter


def trainer_state_bytes(settings: Settings, models: Models) -> int:
    """What training goes on from: the optimizer, and a teacher that has weights of its own."""
    shape = models.student
    is_kept = settings.train.teacher.kind == "ema"
    teacher = weight_bytes(shape, FLOAT32) + FLOAT32 * shape.num_adapter if is_kept else 0
    return optimizer_bytes(settings, shape) + teacher


def checkpoint_bytes(settings: Settings, models: Models) -> int:
    """Checkpoints within a round, where it has any: two for a moment, while one takes the place of the other."""
    every, num_updates = (
        settings.train.checkpoint_every_updates,
        settings.train.epochs * settings.train.updates_per_round,
    )
    if every is None or every >= num_updates:  # none is left after the last one
        return 0
    return 2 * (policy_bytes(settings, models) + trainer_state_bytes(settings, models))
