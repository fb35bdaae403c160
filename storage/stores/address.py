"""Which store an address names."""

from __future__ import annotations

import re
from pathlib import Path

from storage.errors import StorageError
from storage.stores.base import Store
from storage.stores.bucket import SCHEME
from storage.stores.local import LocalStore
from storage.stores.objects import ObjectStore

Address = Path | str
"""Of a run: its folder, or `s3://bucket/prefix`."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""As a path it has lost a slash."""


def in_bucket(address: Address) -> bool:
    """Whether it names a place in a bucket."""
    return str(address).startswith(SCHEME)


def open_store(address: Address, *, endpoint: str | None = None) -> Store:
    """The store there; nothing is read or written. `endpoint`: of a bucket that isn't Amazon's.

    Raises StorageError for an address that can be none.
    """
    if in_bucket(address):
        return ObjectStore.at(str(address), endpoint)
    if _URL.match(str(address)):
        raise StorageError(f"{address}: is no place for a run; name a folder, or {SCHEME}BUCKET/PREFIX")
    return LocalStore(Path(address).resolve())
