"""A run in a folder of this host, or of a file system that it shares with others."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.errors import StorageError
from storage.stores.base import Damaged, Entry, Held, Holder, Settle
from storage.stores.files import (
    TEMPORARY,
    commit_lock,
    fsync_path,
    fsync_tree,
    link_exclusive,
    list_temporary,
    make_folder,
    naming,
    remove,
    scratch_path,
    sha256_file,
    sweep_temporary,
    temporary_path,
    without_writers,
    write_durably,
    write_exclusive,
    write_replacing,
    writing,
)
from storage.stores.hashes import sha256_of_each

LOCK_FILE = ".lock"
LOOK_SECONDS = 0.2
"""Longer than it takes to look whether a run is held."""


@dataclass(frozen=True)
class LocalStore:
    """`storage.stores.base.Store` on files: what is written is whole or absent, and survives a power cut."""

    host_folder: Path
    """Absolute."""

    @property
    def address(self) -> str:
        """The folder."""
        return str(self.host_folder)

    @property
    def renames(self) -> bool:
        """A folder is moved to its place."""
        return True

    def read(self, name: str) -> bytes:
        """A file's content."""
        return (self.host_folder / name).read_bytes()

    def stat(self, name: str) -> Entry | None:
        """A file as it is now; None where there is none."""
        try:
            return _entry((self.host_folder / name).stat())
        except (FileNotFoundError, NotADirectoryError):
            return None

    def list_files(self, prefix: str) -> dict[str, Entry]:
        """All files below a folder, by name, in order."""
        found = _walk(str(self.host_folder / prefix), prefix)
        entries = ((name, _entry_now(entry)) for name, entry in found)
        return dict(sorted((name, entry) for name, entry in entries if entry is not None))

    def list_names(self, prefix: str) -> dict[str, str]:
        """The same files with the numbers that the file system knows them by."""
        return dict(sorted((name, str(entry.inode())) for name, entry in _walk(str(self.host_folder / prefix), prefix)))

    def list_beginning(self, beginning: str) -> list[str]:
        """The names of the files of a folder that begin so."""
        folder, _, stem = beginning.rpartition("/")
        with suppress(FileNotFoundError), os.scandir(self.host_folder / folder) as entries:
            return sorted(f"{folder}/{entry.name}" for entry in entries if entry.name.startswith(stem))
        return []

    def is_empty(self) -> bool:
        """Whether nothing lies there yet, but for what a process that made nothing left. Raises StorageError where a
        file is in the way."""
        self.check()
        there = self.host_folder.iterdir() if self.host_folder.exists() else ()
        return all(path.name == TEMPORARY for path in there)

    def check(self) -> None:
        """Whether a file is in the way: there, or where a folder above it would be made."""
        there = next(path for path in (self.host_folder, *self.host_folder.parents) if path.exists())
        if not there.is_dir():
            raise StorageError(f"{there}: is a file; name a folder for the run")

    def prepare(self) -> None:
        """Make the folder, where it isn't there."""
        self.check()
        make_folder(self.host_folder)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file whole, unless it exists."""
        path = self.host_folder / name
        make_folder(path.parent)
        with writing(self.host_folder):
            return not path.exists() and write_exclusive(self.host_folder, path, content)

    def replace(self, name: str, content: bytes) -> None:
        """Write a file whole, over what is there."""
        path = self.host_folder / name
        make_folder(path.parent)
        with writing(self.host_folder):
            write_replacing(self.host_folder, path, content)

    def swap(self, name: str, before: bytes, content: bytes) -> bool:
        """Write a file over one with that content; one publisher at a time, which takes its locks in one order."""
        with writing(self.host_folder), commit_lock(self.host_folder):
            if self.stat(name) is None or self.read(name) != before:
                return False
            self.replace(name, content)
        return True

    def create_all(self, files: dict[str, bytes]) -> None:
        """Written aside, then renamed: a killed process leaves a hidden folder, never half a run."""
        folder = self.host_folder
        make_folder(folder.parent)
        aside = folder.parent / f".{folder.name}-{os.getpid()}.fork"
        remove(aside)
        try:
            with naming(aside):
                for name, content in files.items():
                    make_folder((aside / name).parent)
                    write_durably(aside / name, content)
            fsync_tree(aside)
            remove(folder / TEMPORARY)
            aside.replace(folder)
            fsync_path(folder.parent)
        finally:
            remove(aside)

    def publish(self, name: str, content: bytes, *, settle: Settle, data: tuple[Path, str] | None = None) -> bytes:
        """Move data to its final name, then link the manifest; one publisher at a time."""
        path = self.host_folder / name
        with scratch_path(self.host_folder, path.name) as draft, commit_lock(self.host_folder):
            write_durably(draft, content)  # before the data moves: a disk that is full here leaves none
            there = path.read_bytes() if path.exists() else None
            if settle(there) and there is not None:
                return there
            if data is not None:
                self._clear(data[1])
            path.unlink(missing_ok=True)
            make_folder(path.parent)
            if data is not None:
                target = self.host_folder / data[1]
                data[0].replace(target)
                fsync_path(target.parent)
            link_exclusive(draft, path)
        return content

    def _clear(self, name: str) -> None:
        """Take away a folder that stands where another one goes: what a killed commit left, or a damaged one."""
        if (self.host_folder / name).is_dir():
            self.remove(name)

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all below it, at once: a killed process leaves no half of it."""
        path = self.host_folder / name
        if not path.is_dir():
            path.unlink(missing_ok=True)
            return
        with temporary_path(self.host_folder, path.name) as aside:
            path.replace(aside)

    def move(self, name: str, target: str) -> bool:
        """Rename it."""
        path = self.host_folder / target
        make_folder(path.parent)
        (self.host_folder / name).replace(path)
        fsync_path(path.parent)
        return True

    def scratch(self, name: str) -> AbstractContextManager[Path]:
        """A fresh path on the run's own file system, from where it can be renamed."""
        return scratch_path(self.host_folder, name)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """The lock of publishers and, where it can be had, that of all who write anything."""
        with without_writers(self.host_folder) as nobody_writes, commit_lock(self.host_folder):
            yield nobody_writes

    def list_temporary(self) -> dict[str, int]:
        """What lies in the scratch place, and the bytes of each."""
        return list_temporary(self.host_folder)

    def sweep(self, grace_seconds: float) -> list[str]:
        """Remove temporary files of killed writers."""
        return sweep_temporary(self.host_folder, grace_seconds)

    def local_file(self, name: str, sha256: str) -> Path:
        """The file itself."""
        path = self.host_folder / name
        if not path.is_file() or sha256_file(path) != sha256:
            raise Damaged(name)
        return path

    def local_folder(self, name: str, files: dict[str, dict[str, Any]]) -> Path:
        """The folder itself; that its bytes are right is found out once a host."""
        folder = self.host_folder / name
        for file in files:
            if not (folder / file).is_file():
                raise Damaged(f"{name}/{file}")
        for file, sha256 in zip(files, sha256_of_each([folder / file for file in files]), strict=True):
            if sha256 != files[file]["sha256"]:
                raise Damaged(f"{name}/{file}")
        return folder

    def sha256(self, name: str) -> str:
        """sha256 of a file's bytes, in hex."""
        return sha256_file(self.host_folder / name)

    def arrow(self, name: str) -> tuple[Any, str]:
        """pyarrow's file system, and the path."""
        from pyarrow.fs import LocalFileSystem

        return LocalFileSystem(), str(self.host_folder / name)

    def beside(self, relative: str) -> LocalStore:
        """The folder at a path relative to this one."""
        return LocalStore((self.host_folder / relative).resolve())

    def path_from(self, address: str, name: str = "") -> str:
        """The relative path, so that both can be moved together."""
        return os.path.relpath(self.host_folder / name, address)

    @contextmanager
    def hold(self) -> Iterator[_FileLease]:
        """Hold the run by a lock, which the system frees when the process ends, however it ends."""
        descriptor = os.open(self.host_folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _take(descriptor)
            yield _FileLease(descriptor)
        finally:
            os.close(descriptor)

    def holder(self) -> Holder:
        """Whether somebody has the lock: shared, it would be had at once. Who wants to hold the run waits for that."""
        try:
            descriptor = os.open(self.host_folder / LOCK_FILE, os.O_RDONLY)
        except FileNotFoundError:
            return Holder("", held=False)
        try:
            text = _FileLease(descriptor).read()
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return Holder(text, held=False)
        except BlockingIOError:
            return Holder(text or "another process", held=True)
        finally:
            os.close(descriptor)


@dataclass(frozen=True)
class _FileLease:
    """The locked file; what a killed holder wrote into it tells that it never finished."""

    descriptor: int

    def read(self) -> str:
        return os.pread(self.descriptor, 1000, 0).decode().strip()

    def write(self, text: str) -> None:
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, text.encode(), 0)


def _take(descriptor: int) -> None:
    """Have the lock. Who looks whether it is held has it for an instant."""
    until = time.monotonic() + LOOK_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > until:
                raise Held(_FileLease(descriptor).read() or "another process") from error
        time.sleep(LOOK_SECONDS / 10)


def _entry(stat: os.stat_result) -> Entry:
    """A file that was renamed into its place has changed then."""
    return Entry(stat.st_size, f"{stat.st_mtime_ns}-{stat.st_ino}", max(stat.st_mtime, stat.st_ctime))


def _walk(folder: str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The files below a folder, named from `prefix` on."""
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        name = f"{prefix}{entry.name}"
        if not entry.is_dir():
            yield name, entry
        elif name != TEMPORARY:
            yield from _walk(entry.path, f"{name}/")


def _entry_now(entry: os.DirEntry[str]) -> Entry | None:
    """What goes away while it is listed was not there."""
    try:
        return _entry(entry.stat())
    except FileNotFoundError:
        return None
