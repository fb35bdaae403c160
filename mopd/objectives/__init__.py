"""What an update of the policy pulls towards: one objective, one file of this folder, named in OBJECTIVES.

An objective turns the score rows of one update into numbers beside each token, and the log-probabilities of a
micro-batch into a loss. The trainer (`mopd.train`) asks for nothing else and knows none by name.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

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


def objective_class(train: TrainSettings) -> type[Objective]:
    """The class behind `train.objective`; imports torch."""
    module, _, name = OBJECTIVES[train.objective.kind].partition(":")
    found: type[Objective] = getattr(import_module(module), name)
    return found


def columns_read(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The columns that a round of training reads, by table; what of them `scores` needn't have, is never computed.

    Rows of other tables stand beside those of `scores` that have the same prompt and sample. The policy version that
    counts in training is that of the policy that sampled.
    """
    objective, importance = settings.train.objective, settings.train.importance
    scores, beside = OBJECTIVE_COLUMNS[objective.kind](objective, settings.score.support)
    proximal = ("proximal_logprobs",) if importance.kind == "proximal" else ()
    return {"scores": (*ROLLOUT_COLUMNS, *proximal, *scores), "rollouts": ("policy_version",), **beside}


def needs_reference(settings: Settings) -> bool:
    """Whether training wants the initial policy's log-probabilities of the sampled tokens."""
    return "reference_logprobs" in columns_read(settings)["scores"]


def needs_support(settings: Settings) -> bool:
    """Whether training wants both models' distributions on a support, or at least the teacher's."""
    return "support_ids" in columns_read(settings)["scores"]


def needs_teacher(settings: Settings) -> bool:
    """Whether the teacher is read again while training: its distributions are wanted whole, and shards hold none."""
    return "contexts" in columns_read(settings)


Wanted = tuple[tuple[str, ...], dict[str, tuple[str, ...]]]
"""Columns of `scores`, and those of other tables."""


def _distill(objective: Any, support: str) -> Wanted:
    judged = ("advantage", "distill")
    if objective.form == "sampled_token":
        return (*judged, "teacher_logprobs"), {}
    if support == "full":
        return judged, {"contexts": ("context_token_ids",)}
    return (*judged, "support_ids", "support_teacher_logprobs"), {}


def _grpo(objective: Any, support: str) -> Wanted:
    return ("advantage", *(("reference_logprobs",) if objective.kl_weight else ())), {}


ROLLOUT_COLUMNS = ("prompt_id", "sample", "prompt_token_ids", "token_ids", "temperature", "behavior_logprobs")
"""What training reads of `scores` whatever it is for."""
OBJECTIVE_COLUMNS: dict[str, Callable[[Any, str], Wanted]] = {
    "distill": _distill,
    "grpo": _grpo,
    "dpo": lambda objective, support: (("reference_logprobs",), {"verdicts": ("reward",)}),
    "simpo": lambda objective, support: ((), {"verdicts": ("reward",)}),
    "sft": lambda objective, support: ((), {"verdicts": ("success",)}),
}
"""What an objective reads beyond that, by its settings and `score.support`."""
