"""Divergence over the whole vocabulary: the teacher is read again, beside the student, while training.

Memory stays bounded as elsewhere: the full distributions exist for one chunk of positions at a time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mopd.models.device import autocast
from mopd.models.forward import branches, hidden_states, in_chunks, make_batch, plan_batches, vocabulary_logps
from mopd.objectives.base import MicroBatch
from mopd.objectives.losses import divergence


def full_divergence(micro: MicroBatch, teacher: Any, *, alpha: float) -> tuple[Tensor, Tensor]:
    """The student's logps of the sampled tokens and its divergence from the teacher there, both [N]."""

    def of_chunk(hidden_CH: Tensor, targets_C: Tensor, theirs_CH: Tensor) -> tuple[Tensor, Tensor]:
        student_CV = vocabulary_logps(micro.student, hidden_CH, micro.temperature)
        with torch.no_grad():
            teacher_CV = vocabulary_logps(teacher, theirs_CH, micro.temperature)
        return student_CV.gather(1, targets_C[:, None]).squeeze(1), divergence(student_CV, teacher_CV, alpha=alpha)

    theirs_NH = _teacher_hidden(micro, teacher)
    with autocast(micro.precision, micro.hidden_NH.device):
        sampled_N, distance_N = in_chunks(of_chunk, micro.hidden_NH, micro.batch.targets, theirs_NH, chunk=micro.chunk)
    return sampled_N, distance_N


@torch.no_grad()
def _teacher_hidden(micro: MicroBatch, teacher: Any) -> Tensor:
    """Hidden states of the teacher, which reads each rollout after its context, in the order of the micro-batch."""
    device, rows = micro.hidden_NH.device, [micro.update.rows[row] for row, _ in micro.batch.rows]
    items = branches([row["context_token_ids"] for row in rows], [row["token_ids"] for row in rows])
    hidden_of_row: dict[int, Tensor] = {}
    for trees in plan_batches(items, max_tokens=micro.batch.input_ids.numel()):
        batch = make_batch(trees, device)
        with autocast(micro.precision, device):
            parts = hidden_states(teacher, batch).split([length for _, length in batch.rows])
        hidden_of_row |= {row: part for (row, _), part in zip(batch.rows, parts, strict=True)}
    return torch.cat([hidden_of_row[index] for index in range(len(rows))])
