"""What an update of the policy pulls towards: one objective, one file of this folder, named in OBJECTIVES.

An objective turns the score rows of one update into numbers beside each token, and the log-probabilities of a
micro-batch into a loss. The trainer (`mopd.train`) asks for nothing else and knows none by name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # this module is read where torch or pydantic is not there, or too slow to import
    from mopd.objectives.base import Objective
    from mopd.settings import Settings, TrainSettings

OBJECTIVES = {
    "distill": "mopd.objectives.distill:Distill",
    "grpo": "mopd.objectives.grpo:Grpo",
    "dpo": "mopd.objectives.dpo:Dpo",
    "simpo": "mopd.objectives.simpo:Simpo",
    "sft": "mopd.objectives.sft:Sft",
}
"""`train.objective.kind` and the class that it means."""
ROLLOUT_COLUMNS = ("prompt_id", "sample", "prompt_token_ids", "token_ids", "temperature", "behavior_logprobs")
"""What training reads of `scores` whatever it is for; an objective's settings say what it reads beyond that."""


def objective_class(train: TrainSettings) -> type[Objective]:
    """The class behind `train.objective`; imports torch."""
    module, _, name = OBJECTIVES[train.objective.kind].partition(":")
    objective: type[Objective] = getattr(import_module(module), name)
    return objective


def columns_read(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The columns that a round of training reads, by table; what of them `scores` needn't have, is never computed.

    Rows of other tables stand beside those of `scores` that have the same prompt and sample. The policy version that
    counts in training is that of the policy that sampled.
    """
    columns = settings.train.objective.columns(settings.score.support)
    proximal = ("proximal_logprobs",) if settings.train.importance.kind in ("proximal", "recomputed") else ()
    masked = ("finish_reason",) if settings.train.mask_truncated else ()
    scores = (*ROLLOUT_COLUMNS, *proximal, *columns.get("scores", ()))
    return {**columns, "scores": scores, "rollouts": ("policy_version", *masked)}


def needs_reference(settings: Settings) -> bool:
    """Whether training wants the initial policy's log-probabilities of the sampled tokens."""
    return "reference_logprobs" in columns_read(settings)["scores"]


def needs_support(settings: Settings) -> bool:
    """Whether training wants both models' distributions on a support, or at least the teacher's."""
    return "support_ids" in columns_read(settings)["scores"]


def needs_teacher(settings: Settings) -> bool:
    """Whether the teacher is read again while training: its distributions are wanted whole, and shards hold none."""
    return "contexts" in columns_read(settings)
