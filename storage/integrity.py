"""Are the bytes still those that were committed?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from storage.files import sha256_file
from storage.manifests import POLICIES, TABLES, Manifest, is_removable, manifest_paths, relative
from storage.runs import RunFolder


@dataclass(frozen=True)
class BadFile:
    """A file of a run that isn't what was committed."""

    file: str
    """Its path in the run folder."""
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


def verify_run(run: RunFolder) -> list[BadFile]:
    """Read every committed file and compare its sha256 with the manifest; the bad ones, none of a sound run.

    Trainer state that was removed on purpose isn't missed; where it is still there it must be right.
    """
    return [bad for table in TABLES for bad in _verify_table(run, table)]


def _verify_table(run: RunFolder, table: str) -> Iterator[BadFile]:
    for path in manifest_paths(run, table):
        try:
            manifest = Manifest.read(path)
        except (ValueError, TypeError) as error:
            yield BadFile(relative(run, path), f"damaged manifest ({error})")
            continue
        for file, sha256, removable in _expected(manifest):
            reason = _compare(run, file, sha256, removable)
            if reason:
                yield BadFile(file, reason)


def _expected(manifest: Manifest) -> Iterator[tuple[str, str, bool]]:
    """Each file with its sha256, and whether it may have been removed."""
    if manifest.table != POLICIES:
        yield manifest.file, manifest.sha256, False
    for name, entry in manifest.files.items():
        yield f"{manifest.file}/{name}", entry["sha256"], is_removable(name)


def _compare(run: RunFolder, file: str, sha256: str, removable: bool) -> str:
    try:
        found = sha256_file(run.path / file)
    except FileNotFoundError:
        return "" if removable else "missing"
    return "" if found == sha256 else f"sha256 is {found[:12]}…, committed was {sha256[:12]}…"
