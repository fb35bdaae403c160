"""A worker that the system killed for memory is told from one that somebody killed, and is not tried again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.runtime import out_of_memory
from flows.runtime.out_of_memory import MemoryWatch, OutOfMemory, count_kills
from flows.runtime.worker import Worker, WorkerDied
from mopd.memory import available as memory
from mopd.sandbox.cgroups import SETTINGS, homes, try_to_remove
from tests.flows.runtime import worker_jobs as jobs

LIMIT = 400 << 20


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    worker = Worker("test", jobs.load, tmp_path / "notes")
    yield worker
    worker.kill()


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group with little memory, where one can be made."""
    places = [(home, version) for home, version, controller in homes() if controller == "memory"]
    if not places:
        pytest.skip("no control group for memory can be made here")
    home, version = places[0]
    group = home / f"mopd-test-{os.getpid()}"
    group.mkdir()
    (group / SETTINGS["memory", version]).write_text(str(LIMIT))
    yield group
    try_to_remove(group)


def test_a_worker_that_outgrows_its_memory(worker: Worker, small_group: Path) -> None:
    if not out_of_memory.MACHINE.exists():
        pytest.skip("the kernel counts no kills")
    with pytest.raises(OutOfMemory, match=r"killed for memory at 0\.\d GB"):
        worker.run(jobs.outgrow, small_group)


def test_a_worker_that_somebody_killed(worker: Worker) -> None:
    with pytest.raises(WorkerDied, match="SIGKILL"):
        worker.run(jobs.die_once)


def test_memory_that_was_refused(worker: Worker) -> None:
    with pytest.raises(OutOfMemory, match=r"^out of memory \(.*can't allocate memory\)"):
        worker.run(jobs.ask_for_too_much)


def test_memory_that_python_was_refused(worker: Worker) -> None:
    with pytest.raises(OutOfMemory, match=r"^out of memory \(MemoryError\)"):
        worker.run(jobs.ask_python_for_too_much)


@pytest.mark.parametrize(
    ("groups", "files"),
    [
        ("0::/a\n", {"a/memory.events": "oom 7\noom_kill {}\n", "memory.events": "oom_kill 0\n"}),
        ("4:memory:/a\n", {"memory/a/memory.oom_control": "under_oom 0\noom_kill {}\n"}),
    ],
)
def test_kills_are_counted_in_both_versions_of_control_groups(
    groups: str, files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").write_text(groups)
    monkeypatch.setattr(memory, "CONTROL_GROUPS", tmp_path)
    monkeypatch.setattr(memory, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(out_of_memory, "MACHINE", tmp_path / "none")

    def write(kills: int) -> None:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text.format(kills))

    write(3)
    watch = MemoryWatch(os.getpid())
    watch.look()
    assert count_kills() == 3 and not watch.was_killed() and watch.peak_bytes > 1 << 20
    write(4)
    assert watch.was_killed()
    watch.look()  # it may be seen while it dies
    assert watch.was_killed()
