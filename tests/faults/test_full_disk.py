"""A disk that is full, or a folder that can't be written to any more, in every stage; then it can be used again."""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import wait_for
from tests.faults.checks import stage_of
from tests.faults.conftest import Begin
from tests.faults.process import Moment, Started
from tests.faults.trial import Trial

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]
ROOM = "64m"
BLOCK = 4096
FULL = "No space left on device"
STAGES_STRUCK = ("draw", "generate", "verify", "condition", "score", "measure", "train", "evaluate")
DROP_FROM_BOUNDS, OVERRIDE_PERMISSIONS = 24, 1
"""prctl's PR_CAPBSET_DROP, and CAP_DAC_OVERRIDE: without it root is held to the permissions of folders too."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "mopd-faults", str(disk)], capture_output=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def resize(disk: Path, size: str) -> bool:
    """False where more than that is used already."""
    return subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], capture_output=True).returncode == 0


def fill(disk: Path) -> None:
    """No more than a block is free; the run may write meanwhile."""

    def filled() -> bool:
        used = os.statvfs(disk)
        return resize(disk, str((used.f_blocks - used.f_bfree) * used.f_frsize + BLOCK))

    wait_for(filled)


def moments(trial: Trial) -> list[Moment]:
    """One before a commit of each stage, in the order in which they come."""
    commits = trial.undisturbed.commits
    of_stage = [[at for at, name in enumerate(commits) if stage_of(name) == stage] for stage in STAGES_STRUCK]
    return [Moment(at, 0.0) for at in sorted(trial.draw.choice(places) for places in of_stage)]


def test_a_full_disk_ends_the_run_with_a_line(begin: Begin, small_disk: Path) -> None:
    trial = begin("full disk", run=small_disk / "run")
    for moment in moments(trial):
        started = trial.start()
        if moment.come(started, trial.committed):
            trial.strike(started, lambda _: fill(small_disk))
        if started.wait():
            trial.check_said(started.output)
            assert started.output.endswith(f": {FULL}\n"), started.output  # and not in a library's own words
        assert resize(small_disk, ROOM)
        trial.note_committed()
    trial.complete()


def bound_by_permissions() -> None:
    """In the child, before it becomes the run."""
    ctypes.CDLL(None).prctl(DROP_FROM_BOUNDS, OVERRIDE_PERMISSIONS)


def permit(run: Path, mode: int) -> None:
    for folder in [run, *(path for path in run.rglob("*") if path.is_dir())]:
        folder.chmod(mode)


def test_a_folder_that_becomes_read_only_ends_the_run_with_a_line(begin: Begin) -> None:
    trial = begin("folder read-only")

    def strike(started: Started) -> None:
        permit(trial.run, 0o555)
        time.sleep(trial.draw.uniform(0.0, 1.0))

    for moment in moments(trial):
        started = trial.start(preexec_fn=bound_by_permissions)
        if moment.come(started, trial.committed) and trial.run.exists():
            trial.strike(started, strike)
        if started.wait():
            trial.check_said(started.output)
            assert "Permission denied" in started.output
        permit(trial.run, 0o755)
        trial.note_committed()
    trial.complete()
