"""A run in a bucket of an S3-compatible store: data under names that nobody shares, the manifest that names it last.

There is no rename, link or lock there. A manifest is created on the condition that there is none (If-None-Match), or
written over the one that was read (If-Match): of several writers one wins, and the others see what it wrote.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import posixpath
import random
import time
import uuid
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from storage.errors import StorageError
from storage.stores.base import Damaged, Entry, Holder, Settle
from storage.stores.bucket import SCHEME, Bucket
from storage.stores.copies import cache_folder, copy_of
from storage.stores.files import (
    TEMPORARY,
    is_old,
    list_temporary,
    make_folder,
    naming,
    scratch_path,
    sweep_temporary,
    without_writers,
)
from storage.stores.lease import BucketLease, find_holder, hold

CLAIM = f"{TEMPORARY}/new-run"
"""Who wrote it makes a run there from several files."""
MOVED_BYTES = 64 << 20
"""What is larger isn't fetched and sent again to get another name."""
RACERS = 4
"""Writers of the probe that race for one name."""


@dataclass(frozen=True)
class ObjectStore:
    """`storage.stores.base.Store` on the objects below a prefix."""

    bucket: Bucket

    @classmethod
    def at(cls, address: str, endpoint: str | None = None) -> ObjectStore:
        """The store that `s3://bucket/prefix` names. Raises StorageError for an address that names none."""
        name, _, prefix = address.removeprefix(SCHEME).partition("/")
        parts = [part for part in prefix.split("/") if part]
        if not name or not parts or {".", ".."} & set(parts):
            raise StorageError(f"{address}: is no place for a run; name a bucket and a prefix, {SCHEME}BUCKET/PREFIX")
        return cls(Bucket(name, "/".join(parts), endpoint))

    @property
    def address(self) -> str:
        """`s3://bucket/prefix`."""
        return self.bucket.address

    @property
    def host_folder(self) -> Path:
        """In the cache folder of this host: logs, scratch, and results of analyses that nobody put elsewhere."""
        place = hashlib.sha256(f"{self.bucket.reached_at} {self.address}".encode()).hexdigest()[:12]
        return cache_folder() / "buckets" / f"{self.address.rpartition('/')[2]}-{place}"

    @property
    def renames(self) -> bool:
        """Nothing is renamed."""
        return False

    def read(self, name: str) -> bytes:
        """A file's content."""
        found = self.bucket.get(name)
        if found is None:
            raise FileNotFoundError(2, "there is no such object", f"{self.address}/{name}")
        return found.content

    def stat(self, name: str) -> Entry | None:
        """A file as it is now; None where there is none."""
        return self.bucket.head(name)

    def list_files(self, prefix: str) -> dict[str, Entry]:
        """All files below a folder, by name, in order: one request for a thousand of them."""
        found = self.bucket.list_all(prefix)
        return dict(sorted((name, entry) for name, entry in found if not name.startswith(f"{TEMPORARY}/")))

    def list_names(self, prefix: str) -> dict[str, str]:
        """The same files with their ETags, which a listing says of each."""
        return {name: entry.stamp for name, entry in self.list_files(prefix).items()}

    def list_beginning(self, beginning: str) -> list[str]:
        """The names of the files of a folder that begin so: one request."""
        found = self.bucket.list_after(beginning.rpartition("/")[0], beginning)
        return list(itertools.takewhile(lambda name: name.startswith(beginning), found))

    def is_empty(self) -> bool:
        """Whether nothing lies there yet. Raises StorageError for a bucket that isn't there."""
        return all(name.startswith(f"{TEMPORARY}/") for name, _ in self.bucket.list_all(""))

    def check(self) -> None:
        """Try what a run needs of a store, once a process; nothing of that stays. Raises StorageError for a bucket that
        isn't there or can't be written to, and for a store that does not keep conditions."""
        _probe(self.bucket)

    def prepare(self) -> None:
        """Nothing has to be made."""
        self.check()

    def create(self, name: str, content: bytes) -> bool:
        """Write a file unless it exists."""
        return self.bucket.put_new(name, content) is not None

    def replace(self, name: str, content: bytes) -> None:
        """Write a file over what is there."""
        self.bucket.put(name, content)

    def swap(self, name: str, before: bytes, content: bytes) -> bool:
        """Write a file over the one that was read."""
        there = self.bucket.get(name)
        if there is None or there.content != before:
            return False
        return self.bucket.put_over(name, content, there.etag) is not None

    def create_all(self, files: dict[str, bytes]) -> None:
        """One after the other, by the one process that has the claim; of what it wrote an error leaves nothing."""
        self.prepare()
        if not self.create(CLAIM, uuid.uuid4().hex.encode()):
            raise StorageError(
                f"{self.address}: another process makes a run there, or was killed at it: name another place"
            )
        taken = StorageError(f"{self.address}: another process made a run there: name another place")
        written: list[str] = []
        try:
            if not self.is_empty():
                raise taken
            for name, content in files.items():
                written.insert(0, name)
                if not self.create(name, content):
                    del written[0]
                    raise taken
        except BaseException:
            self.bucket.delete(written)  # the last one first: it makes the others a run
            raise
        finally:
            self.bucket.delete([CLAIM])

    def publish(self, name: str, content: bytes, *, settle: Settle, data: tuple[Path, str] | None = None) -> bytes:
        """Data first, then the manifest; who comes second sees what the first one wrote, and settles anew."""
        there = self.bucket.get(name)
        if settle(there.content if there else None) and there is not None:
            return there.content
        if data is not None:
            self._put_data(*data)
        while True:
            written = (
                self.bucket.put_new(name, content) if there is None else self.bucket.put_over(name, content, there.etag)
            )
            if written is not None:
                if data is not None:  # who clears up may have seen it before it had a name
                    self._put_data(*data, there=self._list_data(data[1]))
                return content
            there = self.bucket.get(name)
            if settle(there.content if there else None) and there is not None:
                return there.content
            time.sleep(random.uniform(0, 0.1))

    def _put_data(self, written: Path, name: str, there: Collection[str] = ()) -> None:
        """Write a file, or all of a folder, but for what is `there`. FileNotFoundError where it was swept meanwhile."""
        paths = [written] if written.is_file() else [path for path in sorted(written.rglob("*")) if path.is_file()]
        if not paths:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(written))
        for path in paths:
            target = name if path == written else f"{name}/{path.relative_to(written).as_posix()}"
            if target not in there:
                self.bucket.put(target, path)

    def _list_data(self, name: str) -> set[str]:
        """The file, or the files of the folder, as far as they are there."""
        if self.bucket.head(name) is not None:
            return {name}
        return {found for found, _ in self.bucket.list_all(f"{name}/")}

    def remove(self, name: str) -> None:
        """Remove a file, or all below a folder: one after the other, which readers may see."""
        self.bucket.delete([name, *(found for found, _ in self.bucket.list_all(name))])

    def move(self, name: str, target: str) -> bool:
        """Write small objects again under the other name; others stay."""
        files = {name: entry} if (entry := self.stat(name)) else self.list_files(f"{name}/")
        if sum(entry.bytes for entry in files.values()) > MOVED_BYTES:
            return False
        for file in files:
            self.bucket.put(target + file.removeprefix(name), self.read(file))
        self.remove(name)
        return True

    def scratch(self, name: str) -> AbstractContextManager[Path]:
        """A fresh path on this host."""
        return scratch_path(self.host_folder, name)

    def alone(self) -> AbstractContextManager[bool]:
        """Nobody can be kept away from the bucket; what lies on this host is asked about."""
        return without_writers(self.host_folder)

    def list_temporary(self) -> dict[str, int]:
        """Scratch files of this host, and objects in the bucket's scratch place."""
        objects = {name: entry.bytes for name, entry in self.bucket.list_all(TEMPORARY)}
        return {**list_temporary(self.host_folder), **objects}

    def sweep(self, grace_seconds: float) -> list[str]:
        """Remove scratch files of killed writers of this host, and keys of probes that were killed."""
        files = sweep_temporary(self.host_folder, grace_seconds)
        keys = [name for name, entry in self.bucket.list_all(TEMPORARY) if is_old(entry.modified, grace_seconds)]
        self.bucket.delete(keys)
        return [*files, *keys]

    def local_file(self, name: str, sha256: str) -> Path:
        """A copy, by its content."""
        return copy_of("files", sha256, lambda path: self._fetch(name, path, sha256))

    def local_folder(self, name: str, files: dict[str, dict[str, Any]]) -> Path:
        """A copy, by the content of these files."""
        listed = sorted((file, entry["sha256"]) for file, entry in files.items())

        def fetch(folder: Path) -> None:
            for file, sha256 in listed:
                # Who may write to a bucket is not who runs this.
                if not (folder / file).resolve().is_relative_to(folder.resolve()):
                    raise Damaged(f"{name}/{file}")
                make_folder((folder / file).parent)
                self._fetch(f"{name}/{file}", folder / file, sha256)

        return copy_of("folders", hashlib.sha256(repr(listed).encode()).hexdigest(), fetch)

    def _fetch(self, name: str, path: Path, sha256: str) -> None:
        digest = hashlib.sha256()
        try:
            with naming(path), path.open("xb") as file:
                for part in self.bucket.parts(name):
                    digest.update(part)
                    file.write(part)
        except FileNotFoundError as error:
            raise Damaged(name) from error
        if digest.hexdigest() != sha256:
            raise Damaged(name)

    def sha256(self, name: str) -> str:
        """sha256 of a file's bytes, in hex."""
        return _hash(self.bucket.parts(name))

    def arrow(self, name: str) -> tuple[Any, str]:
        """pyarrow's file system of such stores, and the path."""
        return self.bucket.file_system(), f"{self.bucket.name}/{self.bucket.prefix}/{name}"

    def beside(self, relative: str) -> ObjectStore:
        """The place at an address, or at a path relative to this one."""
        if not relative.startswith(SCHEME):
            relative = SCHEME + posixpath.normpath(f"{self.bucket.name}/{self.bucket.prefix}/{relative}")
        return ObjectStore.at(relative, self.bucket.endpoint)

    def path_from(self, address: str, name: str = "") -> str:
        """The whole address: a prefix has no name to be moved by."""
        return f"{self.address}/{name}".rstrip("/")

    def holder(self) -> Holder:
        """By the lease, which its holder writes again and again."""
        return find_holder(self.bucket)

    def hold(self) -> AbstractContextManager[BucketLease]:
        """Hold the run by a lease."""
        self.prepare()
        return hold(self.bucket)


def _hash(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


@cache
def _probe(bucket: Bucket) -> None:
    """Race for a name, and write on a condition that fails: some stores take the condition and ignore it."""
    next(bucket.list_all(TEMPORARY), None)  # a store may make a bucket where one is written to that isn't there
    name = f"{TEMPORARY}/probe-{uuid.uuid4().hex}"
    while not _keeps_conditions(bucket, name):
        if bucket.head(name) is not None:  # else another process has cleared up
            bucket.delete([name])
            raise StorageError(
                f"{bucket.address}: {bucket.reached_at} does not keep the conditions of writes (If-None-Match, "
                "If-Match), on which a run relies: use another store, or a newer version of this one"
            )
    bucket.delete([name])


def _keeps_conditions(bucket: Bucket, name: str) -> bool:
    with ThreadPoolExecutor(RACERS) as threads:
        etags = list(threads.map(lambda number: bucket.put_new(name, b"%d" % number), range(RACERS)))
    winners = [etag for etag in etags if etag is not None]
    kept = len(winners) == 1 and bucket.put_over(name, b"again", winners[0]) is not None
    return kept and bucket.put_over(name, b"stale", winners[0]) is None
