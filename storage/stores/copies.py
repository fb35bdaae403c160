"""Copies, on this host, of what lies in a bucket and is wanted as files: policies by engines, scores by training.

A copy is named by its content and whole: it is checked against its sha256 when it is made. Processes that use one hold
it; of the others the newest few are kept. To hold one is to have a lock on its byte of the file `.held`: it takes no
open file for each of thousands of shards, and processes of other hosts see it too where they share the folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from storage.stores.files import TEMPORARY, fsync_tree, make_folder, remove, temporary_path

KEPT = 4
"""Copies of a kind that no process uses."""
_HELD: set[Path] = set()
"""What this process uses, until it ends."""


def cache_folder() -> Path:
    """As `mopd.models.embedded` has it, which nothing here may import: `$MOPD_CACHE`, or `~/.cache/mopd`."""
    return Path(os.environ.get("MOPD_CACHE") or "~/.cache/mopd").expanduser().resolve()


def copy_of(kind: str, name: str, fetch: Callable[[Path], None]) -> Path:
    """The copy of that name, made by `fetch` where it isn't there; this process holds it from then on.

    One process of the host makes it, the others wait. What `fetch` raises leaves nothing.
    """
    folder = cache_folder() / "copies" / kind
    path = folder / name
    with _alone(folder):
        if not path.exists():
            with temporary_path(folder, name) as aside:
                fetch(aside)
                fsync_tree(aside)  # it is not read again to be checked
                aside.replace(path)
        _hold(path)
        os.utime(path)
        _forget_old(folder)
    return path


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    make_folder(folder)
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _hold(path: Path) -> None:
    fcntl.lockf(_marks(path.parent), fcntl.LOCK_SH, 1, _mark_of(path))
    _HELD.add(path)


@cache
def _marks(folder: Path) -> int:
    """The file of the locks. It stays open: who closes it gives up all of them."""
    return os.open(folder / ".held", os.O_RDWR | os.O_CREAT, 0o666)


def _mark_of(path: Path) -> int:
    """The place of a copy's byte, which no other copy has."""
    return int.from_bytes(hashlib.sha256(path.name.encode()).digest()[:7])


def _forget_old(folder: Path) -> None:
    """Remove all but the newest of those that no process holds; and what killed ones left, who is alone knows."""
    for left in (folder / TEMPORARY).glob("*"):
        remove(left)
    copies = sorted((path for path in folder.iterdir() if not path.name.startswith((".", "_"))), key=_last_use)
    idle = [path for path in copies if not _is_held(path)]
    for path in idle[:-KEPT]:
        with temporary_path(folder, path.name) as aside:  # a killed process leaves no half of it
            path.replace(aside)


def _last_use(path: Path) -> float:
    return path.stat().st_mtime


def _is_held(path: Path) -> bool:
    if path in _HELD:  # no lock of its own is in a process's way
        return True
    marks, mark = _marks(path.parent), _mark_of(path)
    try:
        fcntl.lockf(marks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, mark)
    except (BlockingIOError, PermissionError):  # which of them is up to the system
        return True
    fcntl.lockf(marks, fcntl.LOCK_UN, 1, mark)
    return False
