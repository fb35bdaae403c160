"""Promises of a run in a folder: who writes and who clears up never wait for each other."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from storage.stores.files import commit_lock, without_writers
from storage.stores.local import LocalStore


def test_who_swaps_a_file_and_who_clears_up_take_their_locks_in_one_order(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.create("run.json", b"before")
    swapped: list[bool] = []
    swap = threading.Thread(target=lambda: swapped.append(store.swap("run.json", b"before", b"after")), daemon=True)
    done = threading.Event()

    def take_the_other_lock() -> None:
        with commit_lock(tmp_path):
            done.set()

    with without_writers(tmp_path) as nobody_writes:  # as `alone` begins
        assert nobody_writes
        swap.start()
        time.sleep(0.2)
        threading.Thread(target=take_the_other_lock, daemon=True).start()
        assert done.wait(10), "whoever swaps has it, and waits for this one"
    swap.join(10)
    assert (swapped, store.read("run.json")) == ([True], b"after")


def test_what_is_removed_while_it_is_listed_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verify may look at a run that is going on."""
    store, look = LocalStore(tmp_path), Path.lstat

    def look_too_late(path: Path) -> os.stat_result:
        if path.name == "state":
            raise FileNotFoundError(path)
        return look(path)

    with store.scratch("policy") as folder:
        (folder / "trainer").mkdir(parents=True)
        (folder / "trainer" / "state").write_bytes(b"state")
        (folder / "model").write_bytes(b"model")
        assert list(store.list_temporary().values()) == [10]
        monkeypatch.setattr(Path, "lstat", look_too_late)
        assert list(store.list_temporary().values()) == [5]
    assert store.list_temporary() == {}
