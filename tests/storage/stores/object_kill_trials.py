"""Run by test_object_kill.py: a process that commits to a run in a bucket is killed before or after its n-th write."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import obstore

from storage.runs import RunFolder
from storage.shards import Manifest, commit_folder, remove_trainer_state
from tests.storage.storage_samples import commit, key_of, make_rows, write_weights


def die_at(step: int, when: str) -> None:
    """Kill this process as the step-th write is about to begin, or has come through."""
    left = [step]

    def armed(operation: Callable[..., Any]) -> Callable[..., Any]:
        def run_or_die(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] == 0 and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            done = operation(*args, **kwargs)
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        return run_or_die

    for name in ("put", "delete"):
        setattr(obstore, name, armed(getattr(obstore, name)))


def publish(run: RunFolder, round: int) -> tuple[Manifest, Manifest]:
    """A shard, and a policy whose trainer state is removed later."""
    rows = make_rows("rollouts", run.run_id, round=round, prompts=("a",))
    shard = commit(run, "rollouts", rows, round=round)
    policy = commit_folder(run, round=round, key=key_of(round), parents=[], info={}, write=write_weights)
    remove_trainer_state(run, round)
    return shard, policy


if __name__ == "__main__":
    address, step, when = sys.argv[1:]
    run = RunFolder.open(address)
    die_at(int(step), when)
    publish(run, int(step))
