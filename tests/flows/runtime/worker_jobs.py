"""Jobs for worker tests; here so that worker processes can import them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from flows.runtime.worker import Report
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


def note(notes: Path, text: str) -> None:
    with notes.open("a") as file:
        file.write(f"{text}\n")
