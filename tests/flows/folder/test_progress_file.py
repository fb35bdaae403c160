"""What a process is at lies in a file while it works, and is in nobody's way."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from flows.folder import progress_file
from flows.folder.progress_file import PROGRESS_FILE, ProgressFile, read_progress
from flows.runtime.console import Console, Meter
from storage.stores.local import LocalStore
from tests.e2e.harness import wait_for
from tests.flows.plan.test_plan import run_of

ONE_ROUND = {"rounds": 1, "evaluate.when": "never"}


def test_what_a_process_is_at_lies_in_a_file_while_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_file, "BEAT_SECONDS", 0.02)
    folder, console = run_of(tmp_path / "run", ONE_ROUND)[0], Console()
    assert read_progress(folder) is None
    file = ProgressFile(folder, lambda: {"stages": [meter.state() for meter in console.meters]})
    file.begin()
    with Meter(console, where="round 0", stage="score", total=2) as meter:
        meter.report({"done": 1, "of": 4}, "first")
        wait_for(lambda: ((read_progress(folder) or {}).get("stages") or [{}])[0].get("part") == 0.25, 30)
    wait_for(lambda: read_progress(folder) == {"stages": []}, 30)
    file.end()
    assert folder.store.stat(PROGRESS_FILE) is None


def test_a_progress_file_that_can_not_be_written_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_file, "BEAT_SECONDS", 0.01)
    folder, _ = run_of(tmp_path / "run", ONE_ROUND)
    asked = Counter[str]()

    def full(*_: object) -> None:
        asked["replace"] += 1
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LocalStore, "replace", full)
    file = ProgressFile(folder, dict)
    file.begin()
    wait_for(lambda: asked["replace"] > 1, 30)
    file.end()
