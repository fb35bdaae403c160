"""Promises of the lease: who lives keeps it, a killed holder's comes free, and two holders at once lose nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.folder.open import ended_cleanly, run_lock
from flows.plan.run import RunPlan
from flows.report.watch.look import HolderWatch
from mopd.errors import InputError
from storage.digest import digest_tables
from storage.integrity import verify_run
from storage.runs import RunFolder
from storage.stores import lease
from storage.stores.base import Holder
from tests.flows.rounds_by_jobs import make_run

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second stands for the half minute of a lease."""
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(lease, "PATIENCE_SECONDS", 1.0)


def note(remote: RunFolder) -> dict[str, object]:
    found: dict[str, object] = json.loads(remote.store.read(lease.LEASE_FILE))
    return found


def rewrite(remote: RunFolder, **changed: object) -> None:
    remote.store.replace(lease.LEASE_FILE, json.dumps({**note(remote), **changed}).encode())


def test_a_run_is_held_by_one_process(remote: RunFolder) -> None:
    with run_lock(remote), pytest.raises(InputError, match=f"is being run by process {os.getpid()} on "):
        ended_cleanly(remote)
    assert ended_cleanly(remote)
    assert note(remote)["held"] is False


def test_an_error_leaves_word_that_the_run_did_not_end(remote: RunFolder) -> None:
    with pytest.raises(RuntimeError), run_lock(remote):
        raise RuntimeError
    assert not ended_cleanly(remote)


def test_a_killed_holder_of_this_host_is_gone_at_once(remote: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "import os, sys; from flows.folder.open import run_lock; from storage.stores.address import open_store; from "
        "storage.runs import RunFolder\n"
        "with run_lock(RunFolder(open_store(sys.argv[1]), {})): os.kill(os.getpid(), 9)"
    )
    command = [sys.executable, "-c", script, remote.address]
    assert subprocess.run(command, cwd=Path(__file__).parents[3], check=False).returncode == -signal.SIGKILL
    assert note(remote)["held"] is True
    monkeypatch.setattr(lease, "PATIENCE_SECONDS", 60.0)
    began = time.monotonic()
    assert not ended_cleanly(remote)
    assert time.monotonic() - began < 30


def test_a_holder_elsewhere_that_fell_silent_is_waited_for_and_gone(remote: RunFolder) -> None:
    with run_lock(remote):
        pass
    rewrite(remote, held=True, text="process 7 on another", process="boot pid:[1] 7")
    began = time.monotonic()
    assert not ended_cleanly(remote)
    assert time.monotonic() - began >= lease.PATIENCE_SECONDS


def test_who_loses_the_lease_is_told_and_takes_nothing_back(
    remote: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    with run_lock(remote):
        rewrite(remote, text="process 7 on another", token="another")
        time.sleep(3 * lease.BEAT_SECONDS)
    assert "another process took over" in caplog.text
    assert (note(remote)["text"], note(remote)["held"]) == ("process 7 on another", True)


def test_who_holds_a_run_is_seen_without_taking_it(remote: RunFolder) -> None:
    assert remote.store.holder() == Holder("", held=False)
    with run_lock(remote):
        first = remote.store.holder()
        assert first.text.startswith(f"process {os.getpid()} on ") and first.held
        time.sleep(3 * lease.BEAT_SECONDS)
        second = remote.store.holder()
        assert second.held and second.beat != first.beat
    assert (remote.store.holder().text, remote.store.holder().held) == ("", False)
    rewrite(remote, held=True, text="process 7 on another", process="boot pid:[1] 7")
    watch = HolderWatch(remote.store)
    assert watch.look().held
    time.sleep(1.5 * lease.PATIENCE_SECONDS)
    assert not watch.look().held


def test_a_damaged_lease_holds_nothing(remote: RunFolder) -> None:
    remote.store.replace(lease.LEASE_FILE, b"{")
    assert ended_cleanly(remote)


def test_two_that_make_a_run_at_once_leave_a_whole_one(bucket: str, tmp_path: Path) -> None:
    """Neither holds it: as two do of which one was cut off, came back, and goes on."""
    overrides = ("rounds=2", "generate.num_prompts=3", "prompts_per_shard=1", "train.updates_per_round=2")
    overrides += ("train.checkpoint_every_updates=1",)
    command = [sys.executable, "-m", "tests.flows.rounds_by_jobs", f"{bucket}/run", *overrides]
    makers = [subprocess.Popen(command, cwd=Path(__file__).parents[3]) for _ in range(2)]
    alone = make_run(tmp_path / "run", *overrides)
    assert [maker.wait() for maker in makers] == [0, 0]
    both = RunFolder.open(f"{bucket}/run")
    assert RunPlan.of(both).missing(both) == []
    assert verify_run(both) == []
    assert digest_tables(both) == digest_tables(alone)
