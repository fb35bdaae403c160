"""Which store an address names."""

from __future__ import annotations

from pathlib import Path

from storage.local import LocalStore
from storage.store import Store

BUCKET_SCHEME = "s3://"


def open_store(address: Path | str) -> Store:
    """The store at a folder's path; nothing is read or written."""
    return LocalStore(Path(address).resolve())
