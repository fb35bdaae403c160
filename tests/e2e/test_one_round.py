"""The round without Prefect, as README offers it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from storage.runs import RunFolder
from storage.sql.catalog import query
from tests.e2e.harness import ROOT, TINY


def test_one_round_commits_every_table(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "examples/one_round.py", TINY, tmp_path / "run"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    folder = RunFolder.open(tmp_path / "run")
    counts = {table: query(folder, f"SELECT count(*) FROM {table}").rows[0][0] for table in ("episodes", "updates")}
    assert counts == {"episodes": 16, "updates": 2}
    assert (tmp_path / "run" / "policy" / "model.safetensors").is_file()
    assert "after" in done.stdout
