"""Which store an address names."""

from __future__ import annotations

from pathlib import Path

from storage.local import LocalStore
from storage.store import Store

BUCKET_SCHEME = "s3://"


Address = Path | str
"""Of a run: its folder, or `s3://bucket/prefix`."""


def in_bucket(address: Address) -> bool:
    """Whether it names a place in a bucket."""
    return str(address).startswith(BUCKET_SCHEME)


def open_store(address: Address, *, endpoint: str | None = None) -> Store:
    """The store at a folder's path; nothing is read or written."""
    return LocalStore(Path(address).resolve())
