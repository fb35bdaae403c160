"""What files hash to, noted on each host: of several processes that read a policy one alone reads its bytes for it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from storage.stores.copies import cache_folder
from storage.stores.files import is_old, sha256_file

HEX_LETTERS = 64
NOTED_BYTES = 1 << 20
"""Smaller files are read sooner than a note is found."""
KEPT_SECONDS = 30 * 24 * 3600.0
"""Notes that nobody has made since are forgotten."""


def sha256_of_each(paths: Sequence[Path]) -> list[str]:
    """`sha256_once` of files, as many at a time as this process has cores: one core hashes slower than a disk reads."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        return list(threads.map(sha256_once, paths))


@contextmanager
def hashing_beside() -> Iterator[Callable[[Path], object]]:
    """Takes files that are written to their end, and hashes them while others are written: who asks next finds notes.

    What can't be read is told to that one.
    """
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        yield lambda path: threads.submit(sha256_once, path)


def sha256_once(path: Path) -> str:
    """sha256 of a file's bytes, in hex: computed anew on each host, and when its size or time has changed.

    A file that is renamed is the same one still: what was hashed when it was written is not read again for that.
    Who comes while another process reads the file waits for it. Where nothing can be noted, it is computed each time.
    """
    stamp = path.stat()
    if stamp.st_size < NOTED_BYTES:
        return sha256_file(path)
    about = (platform.node(), stamp.st_dev, stamp.st_ino, stamp.st_size, stamp.st_mtime_ns)
    try:
        with _note(hashlib.sha256(repr(about).encode()).hexdigest()) as note:
            known = os.pread(note, HEX_LETTERS, 0).decode()
            if len(known) < HEX_LETTERS:
                known = sha256_file(path)
                os.pwrite(note, known.encode(), 0)
                _forget_old()
            return known
    except OSError:
        return sha256_file(path)


@contextmanager
def _note(name: str) -> Iterator[int]:
    """A file that is this process's alone meanwhile."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    note = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(note, fcntl.LOCK_EX)
        yield note
    finally:
        os.close(note)


def _forget_old() -> None:
    """Who is at an old note meanwhile has it still: it is made again for the next one."""
    for note in os.scandir(_folder()):
        with suppress(FileNotFoundError):
            if is_old(note.stat().st_mtime, KEPT_SECONDS):
                Path(note).unlink()


def _folder() -> Path:
    return cache_folder() / "hashes"
