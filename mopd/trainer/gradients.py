"""The gradient of an update: summed over micro-batches, measured, scaled down where it is too long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mopd.models.device import autocast
from mopd.models.lora import seed_dropout, trained_parameters
from mopd.objectives.base import MicroBatch, Objective, Update
from mopd.reading.forward import branches, hidden_states, make_batch, plan_batches, tree_tokens
from mopd.trainer.gauge import BACKWARD, FORWARD, Gauge

if TYPE_CHECKING:  # training runs where pydantic is not installed
    from mopd.settings import Settings


def accumulate_gradients(
    student: Any,
    objective: Objective,
    settings: Settings,
    device: torch.device,
    *,
    number: int,
    tell: Callable[[float, str], None] = lambda share, text: None,
) -> Tensor:
    """Sum the gradients of all micro-batches; returns the untruncated importance ratios [T], in no order."""
    update = objective.update
    passes = FORWARD + BACKWARD + (FORWARD if objective.two_passes else 0)
    num_tokens = sum(update.lengths)
    ratios = []
    with Gauge(
        *(student, num_tokens, passes), lambda share, done: tell(share, f"{done:,} of {num_tokens:,} tokens")
    ) as gauge:
        if objective.two_passes:
            objective.prepare(_sampled_logps(student, update, settings, device, number=number, gauge=gauge))
        seed_dropout(settings, number)
        for micro in _micro_batches(student, update, settings, device, gauge):
            loss, sampled_N = objective.loss(micro)
            loss.backward()
            ratios.append(torch.exp(sampled_N.detach() - micro.of(update.behavior_logps_T)).cpu())
    return torch.cat(ratios)


@torch.no_grad()
def _sampled_logps(
    student: Any, update: Update, settings: Settings, device: torch.device, *, number: int, gauge: Gauge
) -> Tensor:
    """The student's log-probabilities of all tokens [T], under the dropout that their gradients will be taken under."""
    seed_dropout(settings, number)
    logps_T = torch.zeros_like(update.behavior_logps_T)
    for micro in _micro_batches(student, update, settings, device, gauge):
        logps_T[micro.indices_N] = micro.logps().sampled_N.cpu()
    gauge.end()
    return logps_T


def _micro_batches(
    student: Any, update: Update, settings: Settings, device: torch.device, gauge: Gauge
) -> Iterator[MicroBatch]:
    """The update cut into parts of bounded size, each read by the student."""
    rows = update.rows
    items = branches([row["prompt_token_ids"] for row in rows], [row["token_ids"] for row in rows])
    for trees in plan_batches(
        items, max_tokens=settings.train.max_tokens_per_pass, shared_tokens=tree_tokens(student, items)
    ):
        batch = make_batch(trees, device)
        gauge.begin(len(batch.targets))
        with autocast(settings.model.precision, device):
            hidden_NH = hidden_states(student, batch)
        yield MicroBatch(
            update=update,
            batch=batch,
            student=student,
            hidden_NH=hidden_NH,
            temperature=float(rows[0]["temperature"]),
            chunk=settings.score.chunk_positions,
            precision=settings.model.precision,
        )


def clip_gradients(weights: list[Tensor], max_norm: float) -> float:
    """Scale gradients down to a norm that they are not to exceed; returns the one they had, in at least float32."""
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    wide = [torch.promote_types(gradient.dtype, torch.float32) for gradient in gradients]
    norms = [torch.linalg.vector_norm(gradient, dtype=dtype) for gradient, dtype in zip(gradients, wide)]
    norm = torch.linalg.vector_norm(torch.stack(norms))
    torch.nn.utils.clip_grads_with_norm_(weights, max_norm, norm)
    return float(norm)


def precision(student: Any) -> float:
    """Of the trained weights, 1.2e-7 in fp32, as which those in bfloat16 count: the rest of their bits is kept.

    A gradient (nats a token) that is no longer than that is rounding.
    """
    weight = next(iter(trained_parameters(student).values()))
    return float(torch.finfo(torch.promote_types(weight.dtype, torch.float32)).eps)
