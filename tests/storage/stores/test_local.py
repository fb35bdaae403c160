"""Promises of a run in a folder: who writes and who clears up never wait for each other."""

from __future__ import annotations

import threading
import time
from pathlib import Path

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
