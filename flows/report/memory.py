"""What `mopd plan` prints: memory of each stage by part, what to change, and what a round writes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from flows.folder.named_models import make_models, model_paths
from flows.report.report import Report
from flows.report.table import Column, Row, Table
from flows.runtime.messages import Report as Progress
from flows.runtime.worker import in_own_process
from mopd.memory.disk import checkpoint_bytes, policy_bytes, shard_bytes, trainer_state_bytes
from mopd.memory.plan import (
    MemoryPlan,
    describe,
    fits_together,
    in_gigabytes,
    memory_together,
    plan_memory,
    read_device,
    who_needs,
)
from mopd.memory.sizes import GIGABYTE
from mopd.settings import Settings


def memory_report(settings: Settings, device: str | None) -> tuple[Report, bool]:
    """The plan on the device that is here, or on the one named; and whether all of it fits. Raises InputError."""
    make_models(model_paths(settings))
    plan: MemoryPlan = in_own_process(_plan, settings, device)
    memory, disk = _memory_table(plan), _disk_table(settings, plan)
    lines = [_device_line(plan), *process_lines(settings, plan)]
    parts: list[str | Table] = [*lines, memory, *verdicts(settings, plan), disk, _disk_line(settings, plan)]
    return Report("Plan", parts, parts, memory, name="plan"), not plan.changes


def _plan(_: None, progress: Progress, settings: Settings, device: str | None) -> MemoryPlan:
    """In a process that may import torch."""
    return plan_memory(settings, read_device(device, settings) if device else None)


def _device_line(plan: MemoryPlan) -> str:
    student, width = plan.models.student, 8 * plan.device.compute
    trained = f", {student.num_adapter:,} of an adapter trained" if student.num_adapter else ""
    number, memory = plan.device.number, in_gigabytes(plan.device.capacity)
    there = f"the CPU with {memory}"
    if plan.device.kind == "cuda":
        there = f"a GPU with {memory}" if number == 1 else f"{number} GPUs with {memory} each"
    return f"{student.num_params:,} parameters{trained}; {there}, products in {'b' if width == 16 else ''}float{width}"


def process_lines(settings: Settings, plan: MemoryPlan) -> list[str]:
    """How many processes work for each stage, where there are several, and what they take of the host."""
    lines = []
    if max(plan.processes.values()) > 1:
        size, shard = settings.generate.num_devices, settings.train.shard
        engines = _count(plan.processes["generate"], "engine") + (f" of {size} devices" if size > 1 else "")
        scorers, ranks = _count(plan.processes["score"], "scorer"), _count(plan.processes["train"], "rank")
        holds = "its share of the weights" if shard == "full" else "all weights"
        lines.append(f"At once: {engines}, {scorers}, {ranks}, each with {holds}.")
    if plan.host:
        each = ", ".join(f"{stage} {in_gigabytes(size)}" for stage, size in plan.host.items())
        lines.append(f"Of the host's memory: {each}.")
    return [*lines, *_resident_lines(settings, plan)]


def _resident_lines(settings: Settings, plan: MemoryPlan) -> list[str]:
    """Whether engines and scorers stay between stages, where that is decided by memory."""
    if settings.place.kind != "local" or settings.place.keep_resident != "auto":
        return []
    what = "stay between stages" if fits_together(plan, settings, plan.device.capacity) else "end with their stage"
    together = in_gigabytes(memory_together(plan, settings))
    return [f"All stages beside each other take {together}: engines and scorers {what} (place.keep_resident)."]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number > 1 else ''}"


def _memory_table(plan: MemoryPlan) -> Table:
    """A row a part, a column a stage, in GB of 2^30 bytes; of one GPU, or of all processes on a CPU."""
    names = dict.fromkeys(part for parts in plan.stages.values() for part in parts)
    rows: list[Row] = [
        {"part": name, **{stage: parts.get(name) for stage, parts in plan.stages.items()}} for name in names
    ]
    rows.append({"part": "all", **{stage: plan.total(stage) for stage in plan.stages}})
    columns = [Column("part"), *(Column(stage, form=".2f", scale=1 / GIGABYTE) for stage in plan.stages)]
    return Table(columns, rows, "memory at the largest moment of each stage, GB")


def verdicts(settings: Settings, plan: MemoryPlan) -> list[str]:
    """What to change for each stage that does not fit."""
    lines = []
    for stage, changes in plan.changes.items():
        overrides = " ".join(f"--set {change.override}" for change in changes or ())
        hint = f": {overrides}" if overrides else ""
        who = who_needs(plan, settings, stage)
        needed = "" if who == "needs" else f" ({who} {in_gigabytes(plan.total(stage))})"
        lines.append(f"{stage} does not fit{needed}: {describe(changes)}{hint}")
    return lines or ["Every stage fits."]


def _disk_table(settings: Settings, plan: MemoryPlan) -> Table:
    """What is written, a row a kind."""
    sizes: dict[str, Any] = {
        **{f"{table} of a round, at most": size for table, size in shard_bytes(settings).items()},
        "policy of a round": policy_bytes(settings, plan.models),
        "trainer state": trainer_state_bytes(settings, plan.models),
    }
    rows: list[Row] = [{"what": name, "size": size} for name, size in sizes.items()]
    return Table([Column("what"), Column("size", "GB", form=".2f", scale=1 / GIGABYTE)], rows, "on disk")


def _disk_line(settings: Settings, plan: MemoryPlan) -> str:
    num_states = settings.train.keep_trainer_states + 1  # the newest is written before the oldest goes
    num_states += 2 if settings.guards.rolls_back else 0  # those of the best policy and of the one before
    states = num_states * trainer_state_bytes(settings, plan.models)
    checkpoints = checkpoint_bytes(settings, plan.models)
    kept = settings.rounds * (sum(shard_bytes(settings).values()) + policy_bytes(settings, plan.models))
    also = " and two checkpoints" if checkpoints else ""
    return (
        f"{settings.rounds} rounds write at most {in_gigabytes(kept + states + checkpoints)}, {num_states} trainer "
        f"states{also} among them; "
        f"{in_gigabytes(shutil.disk_usage(Path.cwd()).free)} are free in {Path.cwd()}"
    )
