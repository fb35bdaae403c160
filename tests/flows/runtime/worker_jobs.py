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
from mopd.pulse import beat


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


def ask_python_for_too_much(resource: Resource, report: Report) -> bytes:
    return bytes(1 << 62)


def sleep(resource: Resource, report: Report) -> None:
    report({"pid": os.getpid()})
    time.sleep(60)


def send_much(resource: Resource, report: Report) -> bytes:
    """More than a pipe holds."""
    report({"pid": os.getpid()})
    return bytes(1 << 24)


def wait_for(resource: Resource, report: Report, path: Path) -> int:
    """Says which process works, until a file is there."""
    report({"pid": os.getpid()})
    while not path.exists():
        time.sleep(0.1)
    return os.getpid()


def report_once(resource: Resource | None, report: Report, seconds: float) -> str:
    """Quiet for a while after its only report."""
    report({"line": "begun"})
    time.sleep(seconds)
    return "done"


def beat_now_and_then(resource: Resource, report: Report, seconds: float) -> str:
    """Works for so long, pass by pass."""
    for _ in range(int(seconds / 0.2)):
        time.sleep(0.2)
        beat()
    return "done"


def lose_engine(resource: Resource, report: Report, error: Exception) -> None:
    raise error


def share(resource: Resource, report: Report) -> tuple[str, set[int], int, str | None]:
    """What of the host this process has: its name, cores, threads of torch, GPUs."""
    import torch

    name, gpus = os.environ["MOPD_REPLICA"], os.environ.get("CUDA_VISIBLE_DEVICES")
    return name, os.sched_getaffinity(0), torch.get_num_threads(), gpus


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


def break_down(_: None, report: Report) -> None:
    """Rank 1 can't go on; rank 0 learns of it as a connection that is gone."""
    if os.environ["RANK"] == "1":
        raise InputError("tasks.jsonl:3: broken")
    time.sleep(0.5)
    raise RuntimeError("Connection closed by peer")


def fail_joined_rank(_: None, report: Report, rank: int) -> None:
    """One of ranks that are joined can't go on, the others wait for its number."""
    import torch

    from mopd.trainer.ranks import join_ranks

    with join_ranks() as ranks:
        ranks.sum(torch.ones(1))
        if ranks.rank == rank:
            raise InputError("tasks.jsonl:3: broken")
        ranks.sum(torch.ones(1))


def note(notes: Path, text: str) -> None:
    with notes.open("a") as file:
        file.write(f"{text}\n")
