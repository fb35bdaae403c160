"""Are the bytes still those that were committed?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from storage.errors import StorageError
from storage.manifests import TABLES, Manifest, manifest_names
from storage.runs import RunFolder
from storage.stores.base import Store


@dataclass(frozen=True)
class BadFile:
    """A file of a run that isn't what was committed."""

    file: str
    """Its path in the run folder; of a file that was taken over from an ancestor, the whole path."""
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


def verify_run(run: RunFolder) -> list[BadFile]:
    """Read every committed file and compare its sha256 with the manifest; the bad ones, none of a sound run.

    Trainer state that was removed on purpose isn't missed; where it is still there it must be right.
    """
    return [bad for table in TABLES for bad in verify_table(run, table)]


def verify_table(run: RunFolder, table: str) -> Iterator[BadFile]:
    """`verify_run` of one table."""
    for name in manifest_names(run, table):
        try:
            manifest = Manifest.read(run.store, name)
        except FileNotFoundError:  # made again while others were read
            continue
        except StorageError:  # the store, not the manifest
            raise
        except (ValueError, TypeError) as error:
            yield BadFile(name, f"damaged manifest ({error})")
            continue
        home = run.home(manifest.home)
        for file, _, sha256, removable in manifest.list_files():
            reason = _compare(home, file, sha256, removable)
            if reason:
                yield BadFile(f"{home.address}/{file}" if manifest.home else file, reason)


def _compare(home: Store, file: str, sha256: str, removable: bool) -> str:
    try:
        actual = home.sha256(file)
    except FileNotFoundError:
        return "" if removable else "missing"
    return "" if actual == sha256 else f"sha256 is {actual[:12]}…, committed was {sha256[:12]}…"
