"""Train: optimizer steps on the score shards of one round.

The trainer sees token ids, weights and teacher numbers; never a peer, a prompt's text or a template. Per token
    loss = w * [lambda * (-advantage * log pi) + (1 - lambda) * D(student, teacher)],   w = min(pi / mu, clip),
each part averaged over the tokens that carry it (arXiv 2605.12652, section 3; the blend is SDPO's).
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mopd.errors import InputError
from mopd.forward import Batch, branches, hidden_states, make_batch, plan_batches, token_logps
from mopd.losses import divergence, importance_weight, token_weights, with_tail
from mopd.score import autocast, default_device
from mopd.seeds import derive_seed
from mopd.trainer_state import TrainerState, open_state, save_state, update_teacher

if TYPE_CHECKING:  # scoring and training run where pydantic is not installed
    from mopd.settings import Settings, TrainSettings

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Targets:
    """Numbers beside the tokens of an update, flat over its rollouts (T tokens in all)."""

    behavior_logps_T: Tensor
    support_ids_TK: Tensor
    teacher_logps_TK: Tensor
    advantage_T: Tensor  # 0 where there is none
    distill_weight_T: Tensor
    policy_weight_T: Tensor
    start: list[int]  # first token of each rollout

    def any(self) -> bool:
        """Whether any token carries a loss."""
        return bool(self.distill_weight_T.any() or (self.policy_weight_T * self.advantage_T).any())

    def of_batch(self, batch: Batch) -> Tensor:
        """Indices [N] into T of a batch's tokens."""
        return torch.cat([torch.arange(self.start[row], self.start[row] + length) for row, length in batch.rows])


def train_round(
    scores: Rows,
    settings: Settings,
    *,
    policy_folder: Path,
    state_folder: Path | None,
    out: Path,
    round: int,
    progress: Callable[[dict[str, Any]], None] = lambda update: None,
    device: torch.device | None = None,
) -> Rows:
    """Train the policy on one round's scores and write policy, teacher and optimizer to `out`.

    `scores` are the rows of all shards in shard order; `state_folder` is the previous round's (None in the first).
    Returns rows of `updates`, one an optimizer step, without `run`. `progress` is called with each.
    """
    device = device or default_device()
    state = open_state(policy_folder, state_folder, settings.train, device)
    updates = []
    for part in split_updates(scores, settings, round=round):
        updates.append({"round": round, **take_step(state, part, settings, device)})
        progress(updates[-1])
    save_state(state, policy_folder, out)
    return updates


def split_updates(scores: Rows, settings: Settings, *, round: int) -> Iterator[Rows]:
    """The rollouts of each optimizer step: whole groups, in a seeded order, split evenly."""
    groups: dict[str, Rows] = {}
    for row in scores:
        groups.setdefault(row["prompt_id"], []).append(row)
    for epoch in range(settings.train.epochs):
        names = list(groups)
        random.Random(derive_seed("train", settings.seed, round, epoch)).shuffle(names)
        for part in np.array_split(np.arange(len(names)), min(settings.train.updates_per_round, len(names))):
            yield [row for index in part for row in groups[names[index]]]


def take_step(state: TrainerState, rows: Rows, settings: Settings, device: torch.device) -> dict[str, Any]:
    """One optimizer step and one teacher update; returns the columns of `updates`.

    An update without any signal (no context with sections, no group with both outcomes) changes nothing: its loss is
    null. Raises InputError where loss or gradient is not finite, before the weights are touched.
    """
    began, train = time.monotonic(), settings.train
    rows = [row for row in rows if len(row["token_ids"])]
    learning_rate = train.learning_rate * min(1.0, (state.step + 1) / max(train.warmup_steps, 1))
    tokens = sum(len(row["token_ids"]) for row in rows)
    report: dict[str, Any] = {"step": state.updates, "learning_rate": learning_rate, "tokens": tokens}
    state.updates += 1
    targets = make_targets(rows, train) if rows else None
    if targets is None or not targets.any():
        empty = dict.fromkeys(("loss", "distill_loss", "policy_loss", "grad_norm"))
        return {**report, **empty, **_importance_report(torch.zeros(0), train), "seconds": time.monotonic() - began}
    losses, ratios_T = accumulate_gradients(state.student, rows, targets, settings, device)
    norm = torch.nn.utils.clip_grad_norm_(state.student.parameters(), train.max_grad_norm)
    if not math.isfinite(losses["loss"] + float(norm)):
        raise InputError(
            f"update {report['step']}: the loss ({losses['loss']}) or its gradient ({float(norm)}) is not finite; "
            "lower train.learning_rate, or look at the round's scores"
        )
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    update_teacher(state.teacher, state.student, train.teacher.rate)
    state.step += 1
    report |= {**losses, "grad_norm": float(norm), **_importance_report(ratios_T, train)}
    return {**report, "seconds": time.monotonic() - began}


def make_targets(rows: Rows, train: TrainSettings) -> Targets:
    """Flatten an update's rows; the token weights already hold lambda and the aggregation."""
    lengths = [len(row["token_ids"]) for row in rows]
    sequence_T = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor(lengths))

    def mask(flags: list[bool]) -> Tensor:
        return torch.tensor(flags)[sequence_T]

    blend = train.policy_gradient_weight
    advantages = [row["advantage"] for row in rows]
    known = [value is not None for value in advantages]
    return Targets(
        behavior_logps_T=_concatenate(rows, "behavior_logprobs"),
        support_ids_TK=_concatenate(rows, "support_ids").long(),
        teacher_logps_TK=_concatenate(rows, "support_teacher_logprobs"),
        advantage_T=torch.tensor([value or 0.0 for value in advantages], dtype=torch.float32)[sequence_T],
        distill_weight_T=(1 - blend)
        * token_weights(sequence_T, mask([row["distill"] for row in rows]), aggregation=train.aggregation).float(),
        policy_weight_T=blend * token_weights(sequence_T, mask(known), aggregation=train.aggregation).float(),
        start=[0, *np.cumsum(lengths)[:-1].tolist()],
    )


def accumulate_gradients(
    student: Any, rows: Rows, targets: Targets, settings: Settings, device: torch.device
) -> tuple[dict[str, float], Tensor]:
    """Sum the gradients of all micro-batches; returns the loss parts and the untruncated importance ratios [T]."""
    items = branches([row["prompt_token_ids"] for row in rows], [row["token_ids"] for row in rows])
    temperature = float(rows[0]["temperature"])
    distill, policy = 0.0, 0.0
    ratios = []
    for trees in plan_batches(items, max_tokens=settings.train.max_tokens_per_pass):
        batch = make_batch(trees, device)
        of = targets.of_batch(batch)
        with autocast(settings.model.precision, device):
            logps = token_logps(
                student,
                hidden_states(student, batch),
                batch.targets,
                temperature=temperature,
                chunk=settings.score.chunk_positions,
                support_ids_NK=targets.support_ids_TK[of].to(device),
            )
        behavior_N = targets.behavior_logps_T[of].to(device)
        weight_N = importance_weight(logps.sampled_N, behavior_N, clip=settings.train.importance_clip)
        teacher_NK = targets.teacher_logps_TK[of].to(device)
        distance_N = divergence(with_tail(logps.support_logps_NK), with_tail(teacher_NK), alpha=settings.train.alpha)
        distill_loss = (targets.distill_weight_T[of].to(device) * weight_N * distance_N).sum()
        gain_N = targets.advantage_T[of].to(device) * logps.sampled_N
        policy_loss = -(targets.policy_weight_T[of].to(device) * weight_N * gain_N).sum()
        (distill_loss + policy_loss).backward()
        distill, policy = distill + distill_loss.item(), policy + policy_loss.item()
        ratios.append(torch.exp(logps.sampled_N.detach() - behavior_N).cpu())
    return {"loss": distill + policy, "distill_loss": distill, "policy_loss": policy}, torch.cat(ratios)


def _concatenate(rows: Rows, column: str) -> Tensor:
    return torch.from_numpy(np.concatenate([np.asarray(row[column]) for row in rows]))


def _importance_report(ratios_T: Tensor, train: TrainSettings) -> dict[str, float | None]:
    if not len(ratios_T):
        return dict.fromkeys(("importance_mean", "importance_max", "importance_clipped"))
    return {
        "importance_mean": ratios_T.mean().item(),
        "importance_max": ratios_T.max().item(),
        "importance_clipped": (ratios_T > train.importance_clip).double().mean().item(),
    }
