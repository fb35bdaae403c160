"""Files that are whole or absent: written aside, fsynced, then renamed or linked into place."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from storage.errors import StorageError

TEMPORARY = "_tmp"
LOCK, WRITERS = LOCKS = ("commit.lock", "writers.lock")
WRITERS_PATIENCE_SECONDS = 5.0
"""For so long who clears up waits for the last writers of a process that was killed to end too."""
_POLL_SECONDS = 0.05


def fsync_path(path: Path) -> None:
    """Flush a file's bytes, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_tree(folder: Path) -> None:
    """Flush every file and folder below `folder`, and itself; or a file alone."""
    if not folder.is_dir():
        fsync_path(folder)
    for parent, _, names in os.walk(folder):
        for name in names:
            fsync_path(Path(parent) / name)
        fsync_path(Path(parent))


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents so that they survive a power cut."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    fsync_path(folder.parent)


@contextmanager
def temporary_path(root: Path, name: str) -> Iterator[Path]:
    """A fresh path under `root/_tmp`; whatever still lies there at the end, or after an error, is removed.

    A killed process leaves it behind.
    """
    folder = root / TEMPORARY
    make_folder(folder)
    path = folder / f"{name}-{uuid.uuid4().hex}.partial"
    try:
        yield path
    finally:
        remove(path)


@contextmanager
def scratch_path(root: Path, name: str) -> Iterator[Path]:
    """`temporary_path` of a run: nobody takes it for garbage while this process lives, however old it is."""
    with writing(root), temporary_path(root, name) as path:
        yield path


@contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """Make a folder and let it be filled. FileNotFoundError where it was removed meanwhile: what is written to it then
    may make it again, with a part of its files."""
    path.mkdir()
    descriptor = os.open(path, os.O_RDONLY)  # while it is open, no other folder gets its number
    try:
        yield
        if not os.path.samestat(os.fstat(descriptor), path.stat()):
            raise FileNotFoundError(errno.ENOENT, "was removed while it was written to", str(path))
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file or a folder with all below it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        while path.exists():
            with suppress(FileNotFoundError):  # another process removes it too
                shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def require_new_folder(path: Path) -> None:
    """Raises StorageError where `path` is there already, unless it is an empty folder."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise StorageError(f"{path}: is there already and not empty; name a new folder")


def write_exclusive(root: Path, path: Path, content: bytes) -> bool:
    """Write `path` whole, unless it exists: True for the one writer that created it, False for all others."""
    with temporary_path(root, path.name) as temporary:
        write_durably(temporary, content)
        return link_exclusive(temporary, path)


def link_exclusive(written: Path, path: Path) -> bool:
    """Give a written file its final name, unless that exists: True for the one that did."""
    try:
        os.link(written, path)
    except FileExistsError:
        return False
    fsync_path(path.parent)
    return True


def write_replacing(root: Path, path: Path, content: bytes) -> None:
    """Write `path` whole, over what is there: a reader sees the old or the new content, nothing between."""
    with temporary_path(root, path.name) as temporary:
        write_durably(temporary, content)
        temporary.replace(path)
        fsync_path(path.parent)


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder, where it isn't there, and write files in it by name, each whole, over what is there.

    For folders of results, which one process at a time writes to: nothing else is left in them.
    """
    make_folder(folder)
    for name, content in files.items():
        write_replacing(folder, folder / name, content)
    with suppress(OSError):  # what a killed process left there
        (folder / TEMPORARY).rmdir()


def write_durably(path: Path, content: bytes) -> None:
    """Write a new file and flush it to the disk."""
    with naming(path), path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def commit_lock(root: Path) -> Iterator[None]:
    """One publisher at a time in a run folder; the kernel frees the lock of a killed process."""
    with _open_lock(root, LOCK) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Within it this process has something temporary in a run folder; the kernel sees when it is killed."""
    with _open_lock(root, WRITERS) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield


@contextmanager
def without_writers(root: Path) -> Iterator[bool]:
    """Within it nobody begins to write anything temporary; False where somebody is at it, and stays at it for a while:
    then nobody is kept away."""
    with _open_lock(root, WRITERS) as descriptor:
        yield _try_for_a_while(descriptor)


@contextmanager
def _open_lock(root: Path, name: str) -> Iterator[int]:
    """A lock of the run folder; closed, it is free."""
    folder = root / TEMPORARY
    make_folder(folder)
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_for_a_while(descriptor: int) -> bool:
    """Have the lock for this process alone, where it comes free in time; who wants to share it does not wait."""
    until = time.monotonic() + WRITERS_PATIENCE_SECONDS
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() > until:
            return False
        time.sleep(_POLL_SECONDS)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an OSError without a file name (a full disk while writing) that of `path`."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno, reason, str(path)) from error


def sha256_file(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_temporary(root: Path) -> dict[str, int]:
    """What lies under `root/_tmp`, and the bytes of each; what its writer removes meanwhile counts as far as seen."""
    found = sorted((root / TEMPORARY).iterdir()) if (root / TEMPORARY).is_dir() else []
    return {f"{TEMPORARY}/{path.name}": _bytes_of(path) for path in found if path.name not in LOCKS}


def _bytes_of(path: Path) -> int:
    """Of a file, or of all files below a folder."""
    below = [Path(parent, name) for parent, _, names in os.walk(path) for name in names]
    total = 0
    for file in below if path.is_dir() else [path]:
        with suppress(FileNotFoundError):
            total += file.lstat().st_size
    return total


def sweep_temporary(root: Path, grace_seconds: float) -> list[str]:
    """Remove what killed writers left under `root/_tmp`, untouched for that long; returns names below `root`.

    Each vanishes at once: a writer that lives after all finds nothing of it, never a part.
    """
    folder = root / TEMPORARY
    make_folder(folder)
    swept = []
    for path in sorted(path for path in folder.iterdir() if path.name not in LOCKS):
        with suppress(FileNotFoundError), temporary_path(root, "swept") as aside:  # its writer removes it meanwhile
            if is_old(last_change(path), grace_seconds):
                path.replace(aside)
                swept.append(f"{TEMPORARY}/{path.name}")
    return swept


def is_old(changed: float, seconds: float) -> bool:
    """Whether something that changed then (seconds since the epoch) is as old as that; all is for 0, by any clock."""
    return not seconds or time.time() - changed >= seconds


def last_change(path: Path) -> float:
    """Seconds since the epoch of the latest write to, or renaming of, anything below `path`."""
    paths = [path, *path.rglob("*")] if path.is_dir() else [path]
    return max(max(stat.st_mtime, stat.st_ctime) for stat in (item.lstat() for item in paths))
