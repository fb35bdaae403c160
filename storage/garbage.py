"""Removing what killed or lost commits left behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from storage.files import LOCK, TEMPORARY, commit_lock, remove, temporary_path
from storage.lineage import find_dependent_fork, read_fork_notes
from storage.manifests import LOGGER, POLICIES, REMOVABLE_PREFIX, Manifest, manifest_paths, relative
from storage.runs import RunFolder
from storage.schemas import SCHEMAS


def collect_garbage(run: RunFolder, grace_seconds: float) -> list[str]:
    """Remove temporary files, shards and policy folders that no manifest names and that nobody touched for a while.

    What a fork took over stays.
    Returns their paths in the run folder. Choose `grace_seconds` longer than any commit lasts. Where a manifest can't
    be read, nothing of its table's round is removed: it may name anything.
    """
    removed = []
    with commit_lock(run.path):
        for path in _list_unnamed(run):
            if time.time() - _last_change(path) >= grace_seconds:
                remove(path)
                removed.append(relative(run, path))
    return removed


def _list_unnamed(run: RunFolder) -> Iterator[Path]:
    """What may be garbage, by name."""
    yield from (path for path in sorted((run.path / TEMPORARY).iterdir()) if path.name != LOCK)
    kept_for_forks = {file for note in read_fork_notes(run) for file in note["files"]}
    for table in (*SCHEMAS, POLICIES):
        for folder in sorted((run.path / table).glob("round=*/")):
            named = _read_named(run, table, int(folder.name.removeprefix("round=")))
            if named is None:
                continue
            candidates = [folder] if table == POLICIES else sorted(folder.glob("shard-*.parquet"))
            yield from (path for path in candidates if relative(run, path) not in named | kept_for_forks)


def _read_named(run: RunFolder, table: str, round: int) -> set[str] | None:
    """The data that a round's manifests name; None where one is damaged."""
    try:
        return {Manifest.read(path).file for path in manifest_paths(run, table, round)}
    except (ValueError, TypeError) as error:
        LOGGER.warning("garbage of %s/round=%04d is kept: a manifest is damaged (%s)", table, round, error)
        return None


def _last_change(path: Path) -> float:
    """Seconds since the epoch of the latest write to, or renaming of, anything below `path`."""
    paths = [path, *path.rglob("*")] if path.is_dir() else [path]
    return max(max(stat.st_mtime, stat.st_ctime) for stat in (item.lstat() for item in paths))


def remove_trainer_state(run: RunFolder, round: int) -> None:
    """Remove optimizer and teacher state from the policy folder of `round`; the policy itself stays.

    Each entry vanishes at once: a killed process leaves no half state that could be loaded. An ancestor's state, and
    one that a fork still has to train on from, stay.
    """
    fork = find_dependent_fork(run, round)
    if fork is not None:
        LOGGER.info("trainer state of round %d is kept for %s", round, fork)
        return
    for path in sorted((run.path / POLICIES / f"round={round:04d}").glob(f"{REMOVABLE_PREFIX}*")):
        with temporary_path(run.path, path.name) as aside:
            path.replace(aside)
