"""Jobs for worker tests; here so that worker processes can import them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from flows.runtime.messages import Report
from mopd.errors import InputError


@dataclass
class Resource:
    """Notes in a file when it was loaded and closed."""

    notes: Path

    def close(self) -> None:
        note(self.notes, "closed")


def load(notes: Path) -> Resource:
    note(notes, "loaded")
    return Resource(notes)


def refuse() -> None:
    raise InputError("model.path: no such model")


def add(resource: Resource, report: Report, a: int, b: int) -> int:
    report({"a": a})
    return a + b


def fail(resource: Resource, report: Report) -> None:
    raise InputError("tasks.jsonl:3: broken")


def die_once(resource: Resource, report: Report) -> int:
    """Killed like by the out-of-memory killer, the first time."""
    if not resource.notes.with_suffix(".died").exists():
        resource.notes.with_suffix(".died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def leave_a_child(resource: Resource, report: Report) -> None:
    """Killed with a process of its own running."""
    report({"pid": subprocess.Popen(["sleep", "60"]).pid})
    os.kill(os.getpid(), signal.SIGKILL)


def outgrow(resource: Resource, report: Report, group: Path) -> None:
    """Takes ever more memory in a control group that has a limit."""
    (group / "cgroup.procs").write_text(str(os.getpid()))
    taken = []
    while True:
        taken.append(b"x" * (1 << 24))
        time.sleep(0.05)


def ask_for_too_much(resource: Resource, report: Report) -> None:
    raise RuntimeError("[enforce fail at alloc_cpu.cpp:129] . DefaultCPUAllocator: can't allocate memory\nfrom here")


def sleep(resource: Resource, report: Report) -> None:
    report({"pid": os.getpid()})
    time.sleep(60)


def report_once(resource: Resource | None, report: Report, seconds: float) -> str:
    """Quiet for a while after its only report."""
    report({"line": "begun"})
    time.sleep(seconds)
    return "done"


def meet(resource: Resource, report: Report, seconds: float) -> int:
    """Takes a while."""
    time.sleep(seconds)
    return os.getpid()


def add_ranks(_: None, report: Report, number: int) -> int:
    """The sum of `number + rank` over all ranks, by torch.distributed."""
    import torch
    import torch.distributed as dist

    report({"rank": int(os.environ["RANK"])})
    dist.init_process_group("gloo")
    total = torch.tensor(number + int(os.environ["RANK"]))
    dist.all_reduce(total)
    dist.destroy_process_group()
    return int(total)


def lose_rank(_: None, report: Report, rank: int) -> None:
    """One rank is killed, the others wait for it."""
    if os.environ["RANK"] == str(rank):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def fail_rank(_: None, report: Report, rank: int) -> None:
    """One rank can't go on, the others wait for it."""
    if os.environ["RANK"] == str(rank):
        raise InputError("tasks.jsonl:3: broken")
    time.sleep(60)


def note(notes: Path, text: str) -> None:
    with notes.open("a") as file:
        file.write(f"{text}\n")
