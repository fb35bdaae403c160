"""The distribution that a token is drawn from, from a model's logits: in the order that vLLM has.

Penalties, temperature, min_p, top_k, top_p; what is left is normalized.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mopd.engines.base import Sampling


def sampling_logps(logits_BV: Tensor, ids_BL: Tensor, sampling: Sampling, *, num_prompt: int) -> Tensor:
    """Log-probabilities [B, V] after the tokens `ids_BL`, of which the first `num_prompt` are the prompt's.

    -inf where a token can't be drawn; at temperature 0, everywhere but at the likeliest token.
    """
    logits_BV = _penalized(logits_BV, ids_BL, sampling, num_prompt)
    if sampling.temperature == 0:
        point_BV = torch.full_like(logits_BV, -torch.inf)
        return point_BV.scatter_(1, logits_BV.argmax(dim=-1, keepdim=True), 0.0)
    logits_BV = logits_BV / torch.tensor([sampling.temperature])
    return torch.log_softmax(_truncated(logits_BV, ids_BL, sampling), dim=-1)


def _penalized(logits_BV: Tensor, ids_BL: Tensor, sampling: Sampling, num_prompt: int) -> Tensor:
    from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor

    if sampling.repetition_penalty != 1.0:
        logits_BV = RepetitionPenaltyLogitsProcessor(float(sampling.repetition_penalty))(ids_BL, logits_BV)
    if sampling.presence_penalty:
        penalty_BV = torch.zeros_like(logits_BV).scatter_(1, ids_BL[:, num_prompt:], sampling.presence_penalty)
        logits_BV = logits_BV - penalty_BV
    return logits_BV


def _truncated(logits_BV: Tensor, ids_BL: Tensor, sampling: Sampling) -> Tensor:
    from transformers.generation import logits_process

    if sampling.min_p:
        logits_BV = logits_process.MinPLogitsWarper(sampling.min_p)(ids_BL, logits_BV)
    if sampling.top_k:
        logits_BV = logits_process.TopKLogitsWarper(sampling.top_k)(ids_BL, logits_BV)
    if sampling.top_p < 1.0:
        logits_BV = logits_process.TopPLogitsWarper(sampling.top_p)(ids_BL, logits_BV)
    return logits_BV
