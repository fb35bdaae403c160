"""The gradient of an update: summed over micro-batches and ranks, measured, scaled down where it is too long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from mopd.models.device import autocast
from mopd.models.lora import trained_parameters
from mopd.objectives.base import MicroBatch, Objective, Update
from mopd.reading.forward import Tree, branches, hidden_states, make_batch, plan_batches, rows_of, tree_tokens
from mopd.seeds import derive_seed
from mopd.timeline import span
from mopd.trainer.gauge import BACKWARD, FORWARD, Gauge
from mopd.trainer.ranks import ALONE, Ranks
from mopd.trainer.shares import call_as_forward, is_shared

if TYPE_CHECKING:  # training runs where pydantic is not installed
    from mopd.settings import Settings

T = TypeVar("T")
Tell = Callable[[float, str], None]
"""Takes the share of an update that is done, and a text."""


def accumulate_gradients(
    student: Any,
    objective: Objective,
    settings: Settings,
    device: torch.device,
    *,
    number: int,
    tell: Tell = lambda share, text: None,
    ranks: Ranks = ALONE,
) -> Tensor:
    """Sum the gradients of all micro-batches, each read by one rank; what the objective reports is of all of them.

    Returns the untruncated importance ratios [T], in the order of the micro-batches.
    """
    update = objective.update
    plan = plan_micro_batches(student, update, settings)
    ratios_T, sums = torch.zeros_like(update.behavior_logps_T), []
    with _gauge(student, objective, ranks.deal(plan), tell) as gauge:
        reader = Reader(student, update, settings, device, gauge)
        if objective.two_passes:
            objective.prepare(_sampled_logps(reader, plan, number=number, ranks=ranks))
        known = objective.take_sums()
        for index, trees in ranks.deal(plan):
            _seed_dropout(settings, number, index)
            loss, sampled_N = reader.read(trees, objective.loss)
            with span("backward", "device"):
                loss.backward()
            indices_N = update.indices(rows_of(trees))
            behavior_N = update.behavior_logps_T[indices_N].to(device)
            ratios_T[indices_N] = torch.exp(sampled_N.detach() - behavior_N).cpu()
            sums.append(objective.take_sums())
        if _lacks_pass(student, plan, ranks):
            reader.read(plan[0], _nothing).backward()
    if not is_shared(student):
        _sum_copies(list(trained_parameters(student).values()), ranks)
    ranks.sum(ratios_T)
    for part in (known, *ranks.collect(sums)):
        objective.add_sums(*part)
    return ratios_T[torch.cat([update.indices(rows_of(trees)) for trees in plan])]


def plan_micro_batches(student: Any, update: Update, settings: Settings) -> list[list[Tree]]:
    """The update cut into parts of bounded size: the same ones, in the same order, on every rank."""
    items = branches(*([row[column] for row in update.rows] for column in ("prompt_token_ids", "token_ids")))
    bound = settings.train.max_tokens_per_pass
    return plan_batches(items, max_tokens=bound, shared_tokens=tree_tokens(student, items))


def _seed_dropout(settings: Settings, update: int, micro_batch: int) -> None:
    """An adapter's, and the model's own where its config has any, is the same whenever, and on whichever rank, a
    micro-batch is read. Without any, nothing is drawn."""
    torch.manual_seed(derive_seed("dropout", settings.seed, update, micro_batch))


@dataclass(frozen=True)
class Reader:
    """Has the student read micro-batches of an update."""

    student: Any
    update: Update
    settings: Settings
    device: torch.device
    gauge: Gauge

    def read(self, trees: list[Tree], function: Callable[[MicroBatch], T]) -> T:
        """What `function` makes of a micro-batch that was read."""
        batch = make_batch(trees, self.device)
        self.gauge.begin(len(batch.targets))
        precision = self.settings.model.precision

        def forward() -> T:
            with autocast(precision, self.device):
                hidden_NH = hidden_states(self.student, batch)
            micro = MicroBatch(
                update=self.update,
                batch=batch,
                student=self.student,
                hidden_NH=hidden_NH,
                temperature=float(self.update.rows[0]["temperature"]),
                chunk=self.settings.score.chunk_positions,
                precision=precision,
            )
            return function(micro)

        return call_as_forward(self.student, forward)


def _gauge(student: Any, objective: Objective, own: list[tuple[int, list[Tree]]], tell: Tell) -> Gauge:
    """Watches this rank's part of an update, and tells of it as of the whole."""
    num_tokens = sum(objective.update.lengths)
    own_tokens = sum(length for _, trees in own for _, length in rows_of(trees))
    passes = FORWARD + BACKWARD + (FORWARD if objective.two_passes else 0)
    return Gauge(
        *(student, own_tokens, passes),
        lambda share, _: tell(share, f"{int(share * num_tokens):,} of {num_tokens:,} tokens"),
    )


@torch.no_grad()
def _sampled_logps(reader: Reader, plan: list[list[Tree]], *, number: int, ranks: Ranks) -> Tensor:
    """The student's log-probabilities of all tokens [T], under the dropout that their gradients will be taken under."""
    update = reader.update
    logps_T = torch.zeros_like(update.behavior_logps_T)
    for index, trees in ranks.deal(plan):
        _seed_dropout(reader.settings, number, index)
        logps_T[update.indices(rows_of(trees))] = reader.read(trees, _sampled).cpu()
    if _lacks_pass(reader.student, plan, ranks):
        reader.read(plan[0], _sampled)
    reader.gauge.end()
    ranks.sum(logps_T)
    return logps_T


def _sampled(micro: MicroBatch) -> Tensor:
    return micro.logps().sampled_N


def _nothing(micro: MicroBatch) -> Tensor:
    """A loss that is 0, and so is its gradient, which every weight has."""
    return 0.0 * _sampled(micro).sum()


def _lacks_pass(student: Any, plan: list[list[Tree]], ranks: Ranks) -> bool:
    """Whether other ranks have one micro-batch more: weights that are shared out are gathered by all ranks together."""
    return is_shared(student) and 0 < len(plan) % ranks.size <= ranks.rank


@torch.no_grad()
def _sum_copies(weights: list[Tensor], ranks: Ranks) -> None:
    """Add up the gradients of all ranks; a weight that has none on any rank gets none."""
    if ranks.size == 1:
        return
    num_gradients = torch.tensor([weight.grad is not None for weight in weights], dtype=torch.int32)
    ranks.sum(num_gradients)
    for weight, number in zip(weights, num_gradients.tolist(), strict=True):
        if number and weight.grad is None:
            weight.grad = torch.zeros_like(weight, dtype=torch.promote_types(weight.dtype, torch.float32))
        if weight.grad is not None:
            ranks.sum(weight.grad)


def clip_gradients(weights: list[Tensor], max_norm: float, ranks: Ranks = ALONE) -> float:
    """Scale gradients down to a norm that they are not to exceed; returns the one they had, in at least float32.

    `ranks`: those that hold the other shares of the same weights.
    """
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    wide = [torch.promote_types(gradient.dtype, torch.float32) for gradient in gradients]
    norms = [torch.linalg.vector_norm(gradient, dtype=dtype) for gradient, dtype in zip(gradients, wide)]
    norm = torch.linalg.vector_norm(torch.stack(norms))
    if ranks.size > 1:
        square = norm.double() ** 2
        ranks.sum(square)
        norm = square.sqrt().to(norm.dtype)
    torch.nn.utils.clip_grads_with_norm_(weights, max_norm, norm)
    return float(norm)


def precision(student: Any) -> float:
    """Of the trained weights, 1.2e-7 in fp32, as which those in bfloat16 count: the rest of their bits is kept.

    A gradient (nats a token) that is no longer than that is rounding.
    """
    weight = next(iter(trained_parameters(student).values()))
    return float(torch.finfo(torch.promote_types(weight.dtype, torch.float32)).eps)
