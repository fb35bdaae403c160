"""Train: optimizer steps on the score shards of one round.

The trainer sees token ids, weights and teacher numbers; never a peer, a prompt's text or a template. What a step pulls
towards is an objective's business (`mopd.objectives`): the trainer asks it for the loss of each micro-batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mopd.errors import InputError
from mopd.memory.freed import keep_freed_memory
from mopd.models.device import default_device
from mopd.models.folders import load_tokenizer, num_output_ids
from mopd.models.teachers import load_teacher, teacher_sources
from mopd.objectives import needs_teacher, objective_class
from mopd.objectives.base import Update
from mopd.objectives.response_steps import StepSplitter
from mopd.optimizers.schedule import learning_rate, updates_of_run
from mopd.reading.narrow import load_reader
from mopd.timeline import span
from mopd.trainer.checkpoints import Checkpoints, find_checkpoint, is_due, read_updates, save_checkpoint
from mopd.trainer.gradient_checkpointing import set_checkpointing
from mopd.trainer.gradients import accumulate_gradients, clip_gradients, precision
from mopd.trainer.ranks import ALONE, Ranks
from mopd.trainer.shares import take_gradients
from mopd.trainer.state import TrainerState, open_state, save_state, update_teacher
from mopd.trainer.updates import enters_update, split_updates

if TYPE_CHECKING:  # scoring and training run where pydantic is not installed
    from mopd.settings import Settings, TrainSettings

Rows = list[dict[str, Any]]


NO_SIGNAL, ROUNDING = "no signal", "gradient is rounding"
"""Why an update took no step: `skipped` in `updates`."""
UPDATE_COLUMNS = ("loss", "distill_loss", "policy_loss", "kl", "policy_clipped", "pairs", "pair_accuracy")
"""What objectives may report of an update; null where one has no such number."""


def train_round(
    scores: Rows,
    settings: Settings,
    *,
    policy_folder: Path,
    state_folder: Path | None,
    base_folder: Path | None = None,
    reference_folder: Path | None = None,
    out: Path | None,
    round: int,
    read: Callable[[Rows], Rows] = lambda rows: rows,
    progress: Callable[[dict[str, Any]], None] = lambda update: None,
    device: torch.device | None = None,
    ranks: Ranks = ALONE,
    checkpoints: Checkpoints | None = None,
    written: Callable[[Path], object] = lambda path: None,
) -> Rows:
    """Train the policy on one round's scores and write policy, teacher and optimizer to `out`.

    `scores` are the rows of all shards in shard order, with `prompt_id` and `policy_version` at least; `read` gives the
    rows of an update with all that `mopd.objectives.columns_read` names, and is asked for one update at a time (left
    out: they have it). `state_folder` is the previous round's (None in the first); `base_folder` is the model that the
    policy's adapter is put on (None: it has none), `reference_folder` the run's initial policy (None: `policy_folder`).
    Each of `ranks` must ask, with the same arguments but for `out`, which only rank 0 has: that alone writes.
    With `checkpoints` the round goes on from the last of them, and leaves some of its own. `written` is called with
    each file of weights in `out` while others are still to be written.
    Returns rows of `updates`, one an optimizer step, without `run`; `progress` is called with each, and between them
    with `done`, `of` and a `text`. Raises InputError for rollouts of too old a policy.
    """
    check_staleness(scores, settings.train.max_staleness, round=round)
    device = device or default_device()
    if device.type == "cpu":
        keep_freed_memory()
    last = find_checkpoint(checkpoints, ranks)
    state = open_state(
        *(last or policy_folder, last or state_folder, settings.train, device),
        base_folder=base_folder or policy_folder,
        seed=settings.seed,
        precision=settings.model.precision,
        out=out,
        ranks=ranks,
    )
    set_checkpointing(state.student, settings, device, ranks)
    teacher = _load_teacher(settings, policy_folder, state_folder, reference_folder or policy_folder, device)
    updates, steps = read_updates(last), _step_ids(settings.train, policy_folder)
    ranks.wait_for_all()  # an update without signal makes none wait, and a new checkpoint takes the place of the last
    parts = list(split_updates(scores, settings, round=round))
    for number, part in list(enumerate(parts))[len(updates) :]:
        tell = partial(_tell, progress, number, len(parts))
        report = take_step(state, [row | steps(row) for row in read(part)], settings, device, teacher, tell)
        updates.append({"round": round, **report})
        progress(updates[-1])
        if is_due(settings.train.checkpoint_every_updates, len(updates), len(parts)):
            save_checkpoint(checkpoints, state, policy_folder, updates)
    save_state(state, policy_folder, out, written=written)
    return updates


def _load_teacher(
    settings: Settings, policy_folder: Path, state_folder: Path | None, reference_folder: Path, device: torch.device
) -> Any:
    """The teacher of the round, to be read again while training; None where nobody reads it."""
    if not needs_teacher(settings):
        return None
    sources = teacher_sources(
        settings.train.teacher,
        policy_folder=policy_folder,
        state_folder=state_folder,
        reference_folder=reference_folder,
    )
    load = partial(load_reader, device=device, precision=settings.model.precision)
    return load_teacher(sources, load, num_ids=num_output_ids(policy_folder))


def _tell(progress: Callable[[dict[str, Any]], None], number: int, num_updates: int, share: float, text: str) -> None:
    """How far the round is, when a share of one of its updates is done."""
    which = f"update {number + 1} of {num_updates}: " if num_updates > 1 else ""
    progress({"done": number + share, "of": num_updates, "text": which + text})


def take_step(
    state: TrainerState,
    rows: Rows,
    settings: Settings,
    device: torch.device,
    teacher: Any | None = None,
    tell: Callable[[float, str], None] = lambda share, text: None,
) -> dict[str, Any]:
    """One optimizer step and one teacher update; returns the columns of `updates`.

    `teacher` is wanted where `mopd.objectives.needs_teacher` says so. `tell` takes the share that is done and a text.
    An update without any signal (no context with sections, no group with unlike rewards: the objective says) changes
    nothing: its loss is null. Neither does one whose gradient is rounding: Adam would scale it up to a whole step.
    `skipped` says which. Raises InputError where loss or gradient is not finite, before the weights are touched.
    """
    began, train = time.monotonic(), settings.train
    rows = [row for row in rows if enters_update(row, len(row["token_ids"]), train)]
    rate = learning_rate(train, step=state.step, update=state.updates, num_updates=updates_of_run(settings))
    report = _first_columns(state.updates, rows, train, rate)
    state.updates += 1
    objective = objective_class(train)(Update(rows, train, teacher)) if rows else None
    if objective is None or not objective.has_signal():
        return {**report, "skipped": NO_SIGNAL, "seconds": time.monotonic() - began}
    ratios_T = accumulate_gradients(
        state.student, objective, settings, device, number=report["step"], tell=tell, ranks=state.ranks
    )
    report |= objective.report()
    take_gradients(state.student, state.weights)
    norm = clip_gradients(list(state.weights.values()), train.max_grad_norm, state.shares)
    _check_finite(report["step"], report["loss"], norm)
    report |= {
        "grad_norm": norm,
        "importance_mean": ratios_T.mean().item(),
        "importance_max": ratios_T.max().item(),
        "importance_clipped": objective.importance_clipped(),
    }
    if norm <= precision(state.student):
        report["skipped"] = ROUNDING
    else:
        _move(state, train, rate)
    state.optimizer.zero_grad(set_to_none=True)
    return {**report, "seconds": time.monotonic() - began}


def _check_finite(number: int, loss: float, norm: float) -> None:
    if not math.isfinite(loss + norm):
        raise InputError(
            f"update {number}: the loss ({loss}) or its gradient ({norm}) is not finite; "
            "lower train.learning_rate, or look at the round's scores"
        )


def _move(state: TrainerState, train: TrainSettings, rate: float) -> None:
    """One step along the gradients, and the teacher's after it."""
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    with span("optimizer", "device"):
        state.optimizer.step()
    with span("teacher's average", "device"):
        update_teacher(state, train)
    state.step += 1


def _first_columns(number: int, rows: Rows, train: TrainSettings, rate: float) -> dict[str, Any]:
    """The columns of an update that are known before it is computed; the others are null until then."""
    unknown = (*UPDATE_COLUMNS, "grad_norm", "importance_mean", "importance_max", "importance_clipped", "skipped")
    return {
        "step": number,
        "objective": train.objective.kind,
        **dict.fromkeys(unknown),
        "learning_rate": rate,
        "tokens": sum(len(row["token_ids"]) for row in rows),
    }


def check_staleness(scores: Rows, bound: int, *, round: int) -> None:
    """InputError if a rollout was sampled more than `bound` rounds before the policy that is trained on it."""
    oldest = min((row["policy_version"] for row in scores), default=round)
    if round - oldest > bound:
        raise InputError(
            f"round {round}: rollouts of policy {oldest} are {round - oldest} rounds older than the policy to be "
            f"trained and train.max_staleness is {bound}; raise it, or sample them again"
        )


def _step_ids(train: TrainSettings, policy_folder: Path) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What a row has beside its columns: the step of each token where losses are averaged within steps."""
    if train.aggregation.kind != "step_level":
        return lambda row: {}
    splitter = StepSplitter(load_tokenizer(policy_folder), train.aggregation.separator)
    return lambda row: {"step_ids": splitter.step_ids(row["token_ids"])}
