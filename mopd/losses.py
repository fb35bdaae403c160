"""Divergences, importance weights and token weights of the training loss (arXiv 2605.12652, section 3).

Axes: T tokens (flat, of several rollouts), K support ids of a position. A distribution is given by its
log-probabilities on K buckets; what lies outside the support is one more bucket, the tail.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Aggregation = Literal["token_mean", "sequence_mean"]


def with_tail(logps_TK: Tensor) -> Tensor:
    """Append the log of the probability mass outside the support: [T, K] -> [T, K + 1]."""
    inside_T1 = torch.logsumexp(logps_TK, dim=-1, keepdim=True)
    largest = -torch.finfo(logps_TK.dtype).eps  # rounding may put the mass inside at or above one
    return torch.cat([logps_TK, torch.log(-torch.expm1(inside_T1.clamp(max=largest)))], dim=-1)


def renormalized(logps_TK: Tensor) -> Tensor:
    """The distribution given that the token lies in the support: [T, K] -> [T, K]."""
    return logps_TK - torch.logsumexp(logps_TK, dim=-1, keepdim=True)


def divergence(student_logps_TK: Tensor, teacher_logps_TK: Tensor, *, alpha: float) -> Tensor:
    """Generalized Jensen-Shannon divergence of each position, [T], in nats.

    alpha 0 is the forward KL(teacher || student), 1 the reverse KL(student || teacher); between them
    M = (1 - alpha) student + alpha teacher and the loss is (1 - alpha) KL(student || M) + alpha KL(teacher || M).
    """
    if alpha == 0.0:
        return _kl(teacher_logps_TK, student_logps_TK)
    if alpha == 1.0:
        return _kl(student_logps_TK, teacher_logps_TK)
    mixture_TK = torch.logaddexp(student_logps_TK + math.log1p(-alpha), teacher_logps_TK + math.log(alpha))
    return (1 - alpha) * _kl(student_logps_TK, mixture_TK) + alpha * _kl(teacher_logps_TK, mixture_TK)


def importance_weight(student_logps_T: Tensor, behavior_logps_T: Tensor, *, clip: float) -> Tensor:
    """Truncated ratio min(pi / mu, clip) of the sampled tokens, [T], without gradient."""
    return torch.exp(student_logps_T.detach() - behavior_logps_T).clamp(max=clip)


def token_weights(sequence_T: Tensor, mask_T: Tensor, *, aggregation: Aggregation) -> Tensor:
    """Weights [T] with which per-token losses add up to the loss of the whole update.

    sequence_T: index of each token's rollout; mask_T: whether the token counts. `token_mean`: every unmasked token
    alike; `sequence_mean`: every rollout with an unmasked token alike. All weights are zero where nothing counts.
    They are taken over the whole update, so a sum over micro-batches does not depend on how it was cut.
    """
    mask_T = mask_T.to(torch.float64)
    if aggregation == "token_mean":
        return mask_T / mask_T.sum().clamp(min=1.0)
    lengths_S = torch.zeros(int(sequence_T.max()) + 1 if len(sequence_T) else 0, dtype=torch.float64)
    lengths_S = lengths_S.index_add(0, sequence_T, mask_T)
    num_sequences = (lengths_S > 0).sum().clamp(min=1)
    return mask_T / (lengths_S.clamp(min=1.0)[sequence_T] * num_sequences)


def _kl(p_logps_TK: Tensor, q_logps_TK: Tensor) -> Tensor:
    return (p_logps_TK.exp() * (p_logps_TK - q_logps_TK)).sum(dim=-1)
