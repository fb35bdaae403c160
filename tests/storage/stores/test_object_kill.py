"""Promise: a commit to a bucket is atomic too. Killed at any of its writes, what manifests name is whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storage.garbage import collect_garbage
from storage.integrity import verify_run
from storage.lookup import manifests, scan
from storage.manifests import TABLES
from storage.runs import RunFolder
from storage.sql.catalog import query
from tests.storage.stores.object_kill_trials import publish

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[3]


def killed(run: RunFolder, step: int, when: str) -> bool:
    """Whether the process was killed before it ended."""
    script = Path(__file__).with_name("object_kill_trials.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), run.address, str(step), when]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_commits_leave_all_or_nothing(remote: RunFolder, when: str) -> None:
    step = 1
    while killed(remote, step, when):
        assert [problem for table in TABLES for problem in scan(remote, table)[1]] == []
        assert verify_run(remote) == []
        publish(remote, step)
        step += 1
    assert step > 6  # two writes of a shard, four of a policy, and its trainer state
    assert len(manifests(remote, "rollouts")) == len(manifests(remote, "policies")) == step
    collect_garbage(remote)
    assert verify_run(remote) == []
    assert query(remote, "SELECT count(*) FROM episodes").rows == [(2 * step,)]
    named = {file for table in TABLES for one in manifests(remote, table) for file, *_ in one.list_files()}
    data = {name for name in remote.store.list_files("") if not name.endswith(".json") or "config" in name}
    assert data - {"run.json"} <= named
