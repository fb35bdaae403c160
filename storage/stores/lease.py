"""A lease on a run in a bucket: an object that its holder writes again and again, so that others see that it lives.

It saves work, nothing more: a holder that is cut off and comes back later writes beside the one that took over, and the
run stays whole. No clock is compared: who finds a lease watches whether it changes.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from storage.errors import StorageError
from storage.logger import LOGGER
from storage.stores.base import Held, Holder
from storage.stores.bucket import Bucket, Found

LEASE_FILE = "run.lock"
BEAT_SECONDS = 5.0
"""Between two writes of a holder."""
PATIENCE_SECONDS = 30.0
"""A lease that did not change for so long is free."""


def _this_process() -> str:
    """Host, boot and process, as nobody else has them."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()} {os.getpid()}"
    return f"{platform.node()} - {os.getpid()}"


@dataclass(frozen=True)
class _Note:
    """What the object says."""

    text: str = ""
    """The holder's own words; they stay when it ends."""
    held: bool = False
    process: str = ""
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Another one each time: a reply that was lost is told from somebody else's write."""

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def read(cls, content: bytes) -> _Note:
        """A damaged one holds nothing."""
        try:
            return cls(**json.loads(content))
        except (ValueError, TypeError):
            return cls()

    def is_gone(self) -> bool:
        """Whether the holder was a process of this host that ended."""
        *place, pid = self.process.split()
        *here, _ = _this_process().split()
        return place == here and pid.isdecimal() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists()


class BucketLease:
    """A lease that this process has; a thread writes it again every few seconds."""

    def __init__(self, bucket: Bucket, etag: str, text: str) -> None:
        self._bucket, self._etag, self._text = bucket, etag, text
        self._writing = threading.Lock()
        self._ended = threading.Event()
        self._beats = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._beats.start()

    def read(self) -> str:
        """What the holder before wrote last, or this one since."""
        return self._text

    def write(self, text: str) -> None:
        """Say who holds it."""
        self._text = text
        self._put(held=True)

    def end(self) -> None:
        """Give it back, where that can be: else it comes free when it is seen not to change. The text stays."""
        self._ended.set()
        try:
            self._put(held=False)
        except StorageError as error:  # what ended the work is the news
            self._warn(error)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            try:
                self._put(held=True)
            except StorageError as error:  # the next beat may come through; work that needs the store will say more
                self._warn(error)

    def _warn(self, error: StorageError) -> None:
        LOGGER.warning("%s/%s: %s", self._bucket.address, LEASE_FILE, error)

    def _put(self, *, held: bool) -> None:
        with self._writing:
            if self._ended.is_set() and held:
                return
            note = _Note(self._text, held, _this_process())
            etag = self._bucket.put_over(LEASE_FILE, note.to_json(), self._etag)
            if etag is not None:
                self._etag = etag
            elif not self._ended.is_set():
                self._ended.set()
                LOGGER.warning("%s: another process took over; what both write stays whole", self._bucket.address)


def find_holder(bucket: Bucket) -> Holder:
    """Who has the lease; that it lives shows in `beat` within PATIENCE_SECONDS."""
    there = bucket.get(LEASE_FILE)
    if there is None:
        return Holder("", held=False)
    note = _Note.read(there.content)
    return Holder(note.text, held=note.held and not note.is_gone(), beat=there.etag)


@contextmanager
def hold(bucket: Bucket) -> Iterator[BucketLease]:
    """Take the lease, and give it back. Raises Held while a process that lives has it."""
    lease = _take(bucket)
    try:
        yield lease
    finally:
        lease.end()


def _take(bucket: Bucket) -> BucketLease:
    while True:
        there = bucket.get(LEASE_FILE)
        if there is None:
            note = _Note("", True, _this_process())
            etag = bucket.put_new(LEASE_FILE, note.to_json())
        else:
            before = _Note.read(there.content)
            if before.held and not before.is_gone():
                _watch(bucket, there)
            note = _Note(before.text, True, _this_process())
            etag = bucket.put_over(LEASE_FILE, note.to_json(), there.etag)
        if etag is not None:
            return BucketLease(bucket, etag, note.text)


def _watch(bucket: Bucket, seen: Found) -> None:
    """Wait until the lease is known to be nobody's. Raises Held when it changes in between."""
    text = _Note.read(seen.content).text or "another process"
    LOGGER.warning(
        "%s: held by %s; waiting up to %.0f s to see whether that lives", bucket.address, text, PATIENCE_SECONDS
    )
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        time.sleep(min(1.0, BEAT_SECONDS))
        now = bucket.get(LEASE_FILE)
        if now is None or not _Note.read(now.content).held:
            return
        if now.etag != seen.etag:
            raise Held(_Note.read(now.content).text or "another process")
