"""Promise: a commit is atomic. Whatever is killed and whenever, what manifests name is whole, and a new start works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mode", ["steps", "times"])
def test_killed_commit_leaves_all_or_nothing(mode: str, tmp_path: Path) -> None:
    script = Path(__file__).with_name("kill_trials.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), mode, str(tmp_path / "run")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
