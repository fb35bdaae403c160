"""The requests that a run in a bucket is made of: each whole or refused, what goes wrong said in one line.

Writes go by obstore, which can write on a condition; tables are read by pyarrow's own file system. Credentials are
those of the environment (`AWS_ACCESS_KEY_ID`, a web identity, an instance's role), in both.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from storage.errors import StorageError
from storage.stores.base import Entry

SCHEME = "s3://"
ENDPOINT_SETTINGS = "store.endpoint or AWS_ENDPOINT_URL"
PART_BYTES = 16 << 20
"""Of a large file, sent or fetched at a time: an object may have 10,000 parts."""
PARTS_AT_ONCE = 8
REQUEST_TIMEOUT = timedelta(minutes=5)
PAUSE_SECONDS = (0.02, 0.2)
CONFLICT_SECONDS = 60.0
"""For so long a condition that holds is tried again."""
RETRIES, RETRY_TIMEOUT = 8, timedelta(minutes=3)
"""Of requests that the store did not answer, or answered by 409 or a 5xx: with growing pauses and jitter."""


@dataclass(frozen=True)
class Found:
    """An object as it was read."""

    content: bytes
    etag: str


@dataclass(frozen=True)
class Bucket:
    """A prefix of a bucket; names are relative to it."""

    name: str
    prefix: str
    endpoint: str | None
    """None: that of the environment, or Amazon's."""

    @property
    def address(self) -> str:
        """`s3://bucket/prefix`."""
        return f"{SCHEME}{self.name}/{self.prefix}"

    def get(self, name: str) -> Found | None:
        """An object; None where there is none."""
        with self._explained():
            try:
                answer = _obstore().get(self._client, name)
                return Found(bytes(answer.bytes()), str(answer.meta["e_tag"]))
            except FileNotFoundError as error:
                self._refuse_absent_bucket(error)
                return None

    def head(self, name: str) -> Entry | None:
        """An object as it is now; None where there is none."""
        with self._explained():
            try:
                return _entry(_obstore().head(self._client, name))
            except FileNotFoundError:
                return None

    def list_all(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        """Everything below a folder, a thousand a request."""
        with self._explained():
            try:
                for page in _obstore().list(self._client, prefix.rstrip("/") or None, chunk_size=1000):
                    yield from ((str(found["path"]), _entry(found)) for found in page)
            except FileNotFoundError as error:
                self._refuse_absent_bucket(error)

    def list_after(self, prefix: str, start: str) -> Iterator[str]:
        """Names below a folder in their order, from `start` on, a few a request."""
        with self._explained():
            try:
                for page in _obstore().list(self._client, prefix, offset=start):
                    yield from (str(found["path"]) for found in page)
            except FileNotFoundError as error:
                self._refuse_absent_bucket(error)

    def put(self, name: str, content: bytes | Path) -> str:
        """Write an object, over what is there; its ETag. A file that is large goes in parts."""
        with self._explained():
            try:
                done = _obstore().put(self._client, name, content, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)
            except FileNotFoundError as error:
                self._refuse_absent_bucket(error)
                raise
            return str(done["e_tag"])

    def put_new(self, name: str, content: bytes) -> str | None:
        """Write an object unless there is one (If-None-Match); its ETag, None for all writers but one.

        A writer whose reply was lost sees that what is there is its own.
        """
        return self._put_if(name, content, None)

    def put_over(self, name: str, content: bytes, etag: str) -> str | None:
        """Write an object over the one with that ETag (If-Match); its new ETag, None where another one is there."""
        return self._put_if(name, content, etag)

    def _put_if(self, name: str, content: bytes, etag: str | None) -> str | None:
        """Write on the condition that what is there has that ETag; None: that nothing is there.

        Where the condition failed although it holds, others were writing at that moment: once more, after a while.
        """
        exceptions = _obstore().exceptions
        until = time.monotonic() + CONFLICT_SECONDS
        while True:
            with self._explained():
                try:
                    mode = "create" if etag is None else {"e_tag": etag}
                    return str(_obstore().put(self._client, name, content, mode=mode)["e_tag"])
                except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
                    pass
                except FileNotFoundError as error:
                    self._refuse_absent_bucket(error)
            there = self.get(name)
            if there is not None and there.content == content:
                return there.etag
            if (there and there.etag) != etag:
                return None
            if time.monotonic() > until:
                raise StorageError(
                    f"{self.address}: {self.reached_at} says again and again that others write {name}: use another "
                    "store, or a newer version of this one"
                )
            time.sleep(random.uniform(*PAUSE_SECONDS))

    def delete(self, names: list[str]) -> None:
        """Remove objects, those that are there."""
        with self._explained():
            if names:
                _obstore().delete(self._client, names)

    def parts(self, name: str) -> Iterator[bytes]:
        """An object's content, some parts at a time; FileNotFoundError where there is none."""
        entry = self.head(name)
        if entry is None:
            raise FileNotFoundError(2, "there is no such object", f"{self.address}/{name}")
        step = PART_BYTES * PARTS_AT_ONCE
        for first in range(0, entry.bytes, step):
            starts = list(range(first, min(first + step, entry.bytes), PART_BYTES))
            ends = [min(start + PART_BYTES, entry.bytes) for start in starts]
            with self._explained():
                parts = _obstore().get_ranges(self._client, name, starts=starts, ends=ends)
            yield from map(bytes, parts)

    @property
    def _client(self) -> Any:
        return _client(self, self._endpoint)

    @property
    def _endpoint(self) -> str | None:
        """The URL that is asked; None: Amazon's. Raises StorageError for what is none: obstore would panic."""
        endpoint = self.endpoint or _environment_endpoint()
        if endpoint is not None and not _is_url(endpoint):
            raise StorageError(
                f"{self.address}: {endpoint} is no endpoint; set {ENDPOINT_SETTINGS} to http(s)://HOST:PORT"
            )
        return endpoint

    @property
    def reached_at(self) -> str:
        """The endpoint that is asked, for people."""
        return self._endpoint or "Amazon S3"

    def file_system(self) -> Any:
        """pyarrow's, which has the bucket's name as the first part of a path."""
        return _file_system(self._endpoint)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What obstore raises, in one line; conditions that failed and files that aren't there are the caller's."""
        exceptions = _obstore().exceptions
        try:
            yield
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise StorageError(
                f"{self.address}: {self.reached_at} refuses access ({_reason(error)}): check the credentials of the "
                "environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) and what they may do"
            ) from error
        except (exceptions.GenericError, exceptions.AlreadyExistsError) as error:
            if "169.254." in str(error):  # the last place where credentials are looked for: an instance's role
                raise StorageError(
                    f"{self.address}: no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                ) from error
            self._refuse_absent_bucket(error)
            raise StorageError(
                f"{self.address}: {self.reached_at} can't be used ({_reason(error)}); mind that it is up, and "
                f"{ENDPOINT_SETTINGS}"
            ) from error

    def _refuse_absent_bucket(self, error: Exception) -> None:
        """What isn't there may be the bucket itself."""
        if "NoSuchBucket" in str(error):
            raise StorageError(
                f"{self.address}: {self.reached_at} has no bucket {self.name}: make it, or correct the address"
            ) from error


def _obstore() -> Any:
    """The library, imported where a bucket is asked for. Raises StorageError where it isn't installed."""
    try:
        import obstore
    except ImportError as error:
        raise StorageError(f"{SCHEME}…: a run in a bucket takes the extra s3: pip install 'mopd[s3]'") from error
    return obstore


@cache
def _client(bucket: Bucket, endpoint: str | None) -> Any:
    """One a process; it keeps its connections."""
    from obstore.store import S3Store

    named: Any = {"endpoint": endpoint} if endpoint else {}
    return S3Store(
        bucket.name,
        prefix=bucket.prefix,
        region=_region(),
        checksum_algorithm="SHA256",
        client_options={"allow_http": bool(endpoint and endpoint.startswith("http://")), "timeout": REQUEST_TIMEOUT},
        retry_config={"max_retries": RETRIES, "retry_timeout": RETRY_TIMEOUT},
        **named,
    )


@cache
def _file_system(endpoint: str | None) -> Any:
    from pyarrow.fs import S3FileSystem

    if endpoint is None:
        return S3FileSystem(region=_region())
    scheme, _, host = endpoint.partition("://")
    return S3FileSystem(region=_region(), scheme=scheme, endpoint_override=host.rstrip("/"))


def _environment_endpoint() -> str | None:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


def _is_url(endpoint: str) -> bool:
    """Whether requests can be sent there."""
    try:
        parts = urlsplit(endpoint)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and not set(endpoint) & set(" @")
        )
    except ValueError:  # a port that is none
        return False


def _region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def _entry(found: Any) -> Entry:
    stamp = found["e_tag"] or found["last_modified"].isoformat()  # not every store's listing says ETags
    return Entry(found["size"], stamp, found["last_modified"].timestamp())


def _reason(error: Exception) -> str:
    """What a store or the network said, without the drawing of the request."""
    text = str(error).partition("\n\nDebug source")[0]
    code = text.partition("<Code>")[2].partition("</Code>")[0]
    said = text.rpartition(" - ")[2].removeprefix("Server returned non-2xx status code: ")
    return code or " ".join(said.split()).strip(": ")[:200]
