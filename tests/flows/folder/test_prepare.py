"""The lock of a run folder tells who holds it, and nothing else; a check ends with what asked for it."""

from __future__ import annotations

import errno
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.folder.open import ended_cleanly, inputs_of, run_lock
from flows.runtime.worker import in_own_process
from mopd.errors import InputError
from mopd.settings import parse_settings
from storage.errors import StorageError
from storage.runs import RunFolder
from storage.stores.files import commit_lock, naming
from storage.stores.local import LocalStore
from tests.e2e.harness import wait_for

BUSY = BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> Iterator[None]:
    """Also where a shell started the tests in its background, and so deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("error", [BUSY, BlockingIOError("a pipe is full"), StorageError("x"), KeyboardInterrupt()])
def test_an_error_inside_a_run_is_told_as_it_is(tmp_path: Path, error: BaseException) -> None:
    folder = RunFolder(LocalStore(tmp_path), {})
    with pytest.raises(type(error)) as caught, run_lock(folder):
        raise error
    assert caught.value is error
    assert not ended_cleanly(folder)  # and the lock is free again
    with run_lock(folder):
        pass
    assert ended_cleanly(folder)


def test_the_holder_is_named(tmp_path: Path) -> None:
    folder = RunFolder(LocalStore(tmp_path), {})
    with run_lock(folder):
        with pytest.raises(InputError, match=f"is being run by process {os.getpid()} on "), run_lock(folder):
            pytest.fail("it is held")
        with pytest.raises(InputError, match=f"is being run by process {os.getpid()} on "):
            ended_cleanly(folder)
    assert ended_cleanly(folder)


def test_a_holder_that_ended_is_not_named(tmp_path: Path) -> None:
    folder = RunFolder(LocalStore(tmp_path), {})
    ended = subprocess.Popen(["true"])
    ended.wait()
    with folder.store.hold() as lease:  # as one that goes on with a run holds it while it checks the inputs
        lease.write(f"process {ended.pid} on {platform.node()}")
        with pytest.raises(InputError, match="is being run by another process; wait for it"), run_lock(folder):
            pytest.fail("it is held")


def test_a_killed_holder_is_noticed(tmp_path: Path) -> None:
    script = (
        "import os, sys; from flows.folder.open import run_lock; from storage.stores.address import open_store; from "
        "storage.runs import RunFolder\n"
        "with run_lock(RunFolder(open_store(sys.argv[1]), {})): os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=Path(__file__).parents[3], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not ended_cleanly(RunFolder(LocalStore(tmp_path), {}))


def test_the_lock_of_commits_tells_errors_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError) as caught, commit_lock(tmp_path):
        raise BUSY
    assert caught.value is BUSY


def test_an_error_that_names_its_file_keeps_the_name(tmp_path: Path) -> None:
    inner = OSError(errno.ENOSPC, "No space left on device", "inner")
    with pytest.raises(OSError, match="inner") as caught, naming(tmp_path / "outer"):
        raise inner
    assert caught.value is inner
    with pytest.raises(BlockingIOError, match="outer"), naming(tmp_path / "outer"):
        raise BUSY


def stay(_: Any, report: Any, begun: Path) -> None:
    """A check that takes long."""
    begun.touch()
    time.sleep(60)


def test_ctrl_c_ends_a_check_at_once(tmp_path: Path) -> None:
    begun, sent = tmp_path / "begun", []

    def interrupt() -> None:
        wait_for(begun.exists)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        in_own_process(stay, begun)
    assert time.monotonic() - sent[0] < 5


@pytest.mark.parametrize("changed", ["tasks", "model"])
def test_inputs_are_checked_once_and_again_when_a_file_of_theirs_changed(
    tmp_path: Path, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks: list[Any] = []
    monkeypatch.setattr("flows.folder.open.in_own_process", lambda check, *args: {"number": checks.append(args)})
    tasks, model = tmp_path / "tasks.jsonl", tmp_path / "model" / "config.json"
    model.parent.mkdir()
    for path in (tasks, model):
        path.write_text("{}\n")
    settings = parse_settings({"model": {"path": str(model.parent)}, "tasks": {"kind": "file", "train": str(tasks)}})
    inputs_of(settings)
    inputs_of(settings)
    assert len(checks) == 1
    {"tasks": tasks, "model": model}[changed].write_text('{"other": 1}\n')
    inputs_of(settings)
    assert len(checks) == 2
