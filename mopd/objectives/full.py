"""Divergence over the whole vocabulary: the teacher is read again, beside the student, while training.

Memory stays bounded as elsewhere: the full distributions exist for one chunk of positions at a time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mopd.models.device import autocast
from mopd.objectives.base import MicroBatch
from mopd.objectives.losses import divergence
from mopd.reading.forward import branches, hidden_states, make_batch, plan_batches, tree_tokens
from mopd.reading.head import map_logits, vocabulary_logps


def full_divergence(micro: MicroBatch, teacher: Any, *, alpha: float) -> tuple[Tensor, Tensor]:
    """The student's logps of the sampled tokens and its divergence from the teacher there, both [N]."""
    teacher_NH = _teacher_hidden(micro, teacher)

    @torch.no_grad()
    def beside(cut: slice) -> tuple[Tensor, Tensor]:
        return micro.batch.targets[cut], vocabulary_logps(teacher, teacher_NH[cut], micro.temperature)

    def of_logits(logits_RV: Tensor, targets_R: Tensor, teacher_RV: Tensor) -> tuple[Tensor, Tensor]:
        student_RV = torch.log_softmax(logits_RV / micro.temperature, dim=-1)
        return student_RV.gather(1, targets_R[:, None]).squeeze(1), divergence(student_RV, teacher_RV, alpha=alpha)

    with autocast(micro.precision, micro.hidden_NH.device):
        sampled_N, distance_N = map_logits(micro.student, of_logits, micro.hidden_NH, beside, chunk=micro.chunk)
    return sampled_N, distance_N


@torch.no_grad()
def _teacher_hidden(micro: MicroBatch, teacher: Any) -> Tensor:
    """Hidden states of the teacher, which reads each rollout after its context, in the order of the micro-batch."""
    device, rows = micro.hidden_NH.device, [micro.update.rows[row] for row, _ in micro.batch.rows]
    items = branches([row["context_token_ids"] for row in rows], [row["token_ids"] for row in rows])
    hidden_of_row: dict[int, Tensor] = {}
    for trees in plan_batches(
        items, max_tokens=micro.batch.input_ids.numel(), shared_tokens=tree_tokens(teacher, items)
    ):
        batch = make_batch(trees, device)
        with autocast(micro.precision, device):
            parts = hidden_states(teacher, batch).split([length for _, length in batch.rows])
        hidden_of_row |= {row: part for (row, _), part in zip(batch.rows, parts, strict=True)}
    return torch.cat([hidden_of_row[index] for index in range(len(rows))])
