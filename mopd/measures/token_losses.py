"""What each token of a rollout carries of the loss as its round begins, by training's own functions.

The student of the scores is the policy at the start of the round: this is the loss of the round's first update, before
tokens are weighted against each other (`mopd.objectives.carried.loss_weight`). Axes: T tokens of the reply, K ids of
the support.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from mopd.settings import TrainSettings

Row = dict[str, Any]


class TokenLosses(NamedTuple):
    """The losses of a rollout's tokens, or why they can't be had."""

    kind: str
    """What they are: `divergence`, `pull` or `likelihood`; "" where there are none."""
    values_T: np.ndarray | None = None
    why_none: str | None = None


def token_losses(score: Row, train: TrainSettings) -> TokenLosses:
    """Of a row of `scores`, in nats.

    divergence   importance * D(student, teacher) on the support that is stored: the distillation part of the loss
    pull         importance * |teacher - student|: the length of the gradient by the token's own log-probability, of the
                 form `sampled_token`, whose loss says nothing
    likelihood   minus the student's log-probability, of `sft`
    """
    return _LOSSES[train.objective.kind](score, train)


def _distill(score: Row, train: TrainSettings) -> TokenLosses:
    objective: Any = train.objective
    if objective.form == "sampled_token":
        apart_T = np.abs(score["teacher_logprobs"] - score["proximal_logprobs"])
        return TokenLosses("pull", _importance(score, train) * apart_T)
    teacher_TK, student_TK = score["support_teacher_logprobs"], score["support_student_logprobs"]
    if teacher_TK is None or not teacher_TK.shape[1]:
        return TokenLosses("", why_none="no distribution is stored (score.support: full)")
    if student_TK is None or student_TK.shape != teacher_TK.shape:
        return TokenLosses("", why_none="the student's distribution isn't stored on the support (score.keep_student)")
    return TokenLosses("divergence", _importance(score, train) * _divergence(student_TK, teacher_TK, objective))


def _divergence(student_TK: np.ndarray, teacher_TK: np.ndarray, objective: Any) -> np.ndarray:
    import torch

    from mopd.objectives.distill import BUCKETS
    from mopd.objectives.losses import divergence

    student, teacher = (BUCKETS[objective.tail](torch.tensor(logps_TK)) for logps_TK in (student_TK, teacher_TK))
    values_T: np.ndarray = divergence(student, teacher, alpha=objective.alpha).numpy()
    return values_T


def _importance(score: Row, train: TrainSettings) -> np.ndarray:
    """The weight of each token before training has moved the student, truncated."""
    student_T, importance = score["proximal_logprobs"], train.importance
    if importance.kind == "none" or importance.kind == "recomputed":
        return np.ones_like(student_T)
    return np.minimum(np.exp(student_T - score["behavior_logprobs"]), importance.clip)


def _none(why: str) -> Callable[[Row, TrainSettings], TokenLosses]:
    return lambda score, train: TokenLosses("", why_none=why)


_LOSSES: dict[str, Callable[[Row, TrainSettings], TokenLosses]] = {
    "distill": _distill,
    "grpo": _none("grpo gives every token of a reply the same advantage"),
    "dpo": _none("dpo compares whole replies"),
    "simpo": _none("simpo compares whole replies"),
    "sft": lambda score, train: TokenLosses("likelihood", -score["proximal_logprobs"]),
}
