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
    A bucket that is -inf in both is padding: no mass, no gradient.
    """
    padding_TK = torch.isneginf(student_logps_TK) & torch.isneginf(teacher_logps_TK)
    student_TK, teacher_TK = (side_TK.masked_fill(padding_TK, 0.0) for side_TK in (student_logps_TK, teacher_logps_TK))

    def kl(p_logps_TK: Tensor, q_logps_TK: Tensor) -> Tensor:
        return (p_logps_TK.exp() * (p_logps_TK - q_logps_TK)).masked_fill(padding_TK, 0.0).sum(dim=-1)

    if alpha == 0.0:
        return kl(teacher_TK, student_TK)
    if alpha == 1.0:
        return kl(student_TK, teacher_TK)
    mixture_TK = torch.logaddexp(student_TK + math.log1p(-alpha), teacher_TK + math.log(alpha))
    return (1 - alpha) * kl(student_TK, mixture_TK) + alpha * kl(teacher_TK, mixture_TK)


def sampled_token(student_logps_T: Tensor, teacher_logps_T: Tensor) -> Tensor:
    """Policy-gradient form of the reverse KL, [T]: its gradient is that of KL(student || teacher) in expectation."""
    return (student_logps_T - teacher_logps_T).detach() * student_logps_T


def importance_ratio(logps_T: Tensor, sampler_logps_T: Tensor) -> Tensor:
    """How much likelier one policy makes the sampled tokens than another, [T]."""
    return torch.exp(logps_T - sampler_logps_T)


def step_means(values_T: Tensor, steps_T: Tensor) -> Tensor:
    """The mean of each step's values at each of its tokens, [T]; `steps_T` numbers the steps."""
    num_steps = int(steps_T.max()) + 1
    sums = values_T.new_zeros(num_steps).index_add(0, steps_T, values_T)
    return (sums / torch.bincount(steps_T, minlength=num_steps).clamp(min=1))[steps_T]


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
