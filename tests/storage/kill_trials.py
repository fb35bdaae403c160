"""Run by test_kill.py: its children commit and are killed, at each durable step (`steps`) or at random (`times`)."""

from __future__ import annotations

import os
import pathlib
import random
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from storage.garbage import collect_garbage
from storage.integrity import verify_run
from storage.lookup import scan
from storage.manifests import TABLES
from storage.runs import RunFolder
from storage.shards import commit_folder, find_manifest
from storage.sql.catalog import query
from storage.stores.files import LOCKS
from tests.storage.storage_samples import commit, key_of, make_rows, write_weights

DURABLE = [(os, "fsync"), (os, "link"), (pathlib.Path, "replace"), (pathlib.Path, "unlink"), (pathlib.Path, "mkdir")]


def die_at(step: int) -> None:
    """Kill this process as the step-th durable operation is about to begin."""
    left = [step]

    def armed(operation: Callable[..., Any]) -> Callable[..., Any]:
        def run_or_die(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return operation(*args, **kwargs)

        return run_or_die

    for owner, name in DURABLE:
        setattr(owner, name, armed(getattr(owner, name)))


def in_child(work: Callable[[], Any]) -> bool:
    """Fork and work. True when the child ended by itself."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed"
    return os.WIFEXITED(status)


def check(run: RunFolder) -> None:
    """Everything a manifest names is whole."""
    problems = [problem for table in TABLES for problem in scan(run, table)[1]]
    assert problems == [], problems
    assert verify_run(run) == []


def count_episodes(run: RunFolder) -> int:
    check(run)
    return int(query(run, "SELECT count(*) FROM episodes").rows[0][0])


def kill_at_steps(run: RunFolder) -> None:
    for step in range(1, 100):
        rows = make_rows("rollouts", run.run_id, round=step, prompts=("a",))

        def publish(round: int = step, rows: Any = rows) -> None:
            commit(run, "rollouts", rows, round=round)
            commit_folder(run, round=round, key=key_of(round), parents=[], info={}, write=write_weights)

        def killed(step: int = step, publish: Callable[[], None] = publish) -> None:
            die_at(step)
            publish()

        finished = in_child(killed)
        check(run)
        publish()
        assert find_manifest(run, "policies", step, 0, key_of(step)) is not None
        if finished:
            break
    assert count_episodes(run) == 2 * step
    collect_garbage(run)
    assert count_episodes(run) == 2 * step
    assert sorted(path.name for path in (run.path / "_tmp").iterdir()) == sorted(LOCKS)


def kill_at_times(run: RunFolder) -> None:
    draw = random.Random(0)
    for trial in range(6):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            for shard in range(10_000):
                rows = make_rows("rollouts", run.run_id, round=trial, prompts=(f"p{shard}",))
                commit(run, "rollouts", rows, round=trial, shard=shard)
                os.write(writer, b".")
        os.read(reader, 1)
        time.sleep(draw.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        check(run)
    assert count_episodes(run) >= 2 * 6


if __name__ == "__main__":
    {"steps": kill_at_steps, "times": kill_at_times}[sys.argv[1]](RunFolder.create(sys.argv[2], {"settings": {}}))
