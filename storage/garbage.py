"""Removing what killed or lost commits left behind."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from storage.errors import StorageError
from storage.lineage import find_dependent_fork, read_fork_notes
from storage.logger import LOGGER
from storage.manifests import POLICIES, REMOVABLE_PREFIX, read_manifests
from storage.policies import policy_depth
from storage.runs import RunFolder
from storage.schemas import SCHEMAS

_SHARD = re.compile(r"[^/]+/round=(\d+)/shard-[^/]*\.parquet")
_POLICY = re.compile(rf"{POLICIES}/round=(\d+)(?:-\d+)?(?:/[^/]+)?")
Unnamed = tuple[str, float]
"""A file or folder that may be garbage, and when it changed last, in seconds since the epoch."""


def collect_garbage(run: RunFolder, grace_seconds: float) -> list[str]:
    """Remove temporary files, shards and policy folders that no manifest names and that nobody touched for a while.

    What a fork took over stays.
    Returns their names in the run. Choose `grace_seconds` longer than any commit lasts. Where a manifest can't be read,
    nothing of its table's round is removed: it may name anything.
    """
    with run.store.alone():
        removed = run.store.sweep(grace_seconds)
        for name, changed in _list_unnamed(run):
            if time.time() - changed >= grace_seconds:
                run.store.remove(name)
                removed.append(name)
    return removed


def _list_unnamed(run: RunFolder) -> Iterator[Unnamed]:
    """What no manifest names and no fork took over."""
    kept = {file for note in read_fork_notes(run) for file in note["files"]}
    for table in (*SCHEMAS, POLICIES):
        by_round: dict[int, dict[str, float]] = {}
        for round, name, changed in _list_data(run, table):
            of_round = by_round.setdefault(round, {})
            of_round[name] = max(changed, of_round.get(name, changed))
        for round, candidates in sorted(by_round.items()):
            named = _read_named(run, table, round)
            if named is not None:
                yield from ((name, changed) for name, changed in candidates.items() if name not in named | kept)


def _list_data(run: RunFolder, table: str) -> Iterator[tuple[int, str, float]]:
    """Round, name and last change of each shard, or of each file of a policy folder, by the folder's name."""
    depth = policy_depth(run) if table == POLICIES else 3
    for name, entry in run.store.list_files(f"{table}/").items():
        data = "/".join(name.split("/")[:depth])
        found = (_POLICY if table == POLICIES else _SHARD).fullmatch(data)
        if found:
            yield int(found[1]), data, entry.modified


def _read_named(run: RunFolder, table: str, round: int) -> set[str] | None:
    """The data that a round's manifests name; None where one is damaged."""
    try:
        return {manifest.file for manifest in read_manifests(run, table, round)}
    except StorageError:  # the store, not the manifest
        raise
    except FileNotFoundError:  # another process works there
        return None
    except (ValueError, TypeError) as error:
        LOGGER.warning("garbage of %s/round=%04d is kept: a manifest is damaged (%s)", table, round, error)
        return None


def remove_trainer_state(run: RunFolder, round: int) -> None:
    """Remove optimizer and teacher state from the policy folder of `round`; the policy itself stays.

    Each entry vanishes at once, where the store can do that: a killed process leaves no half state that could be
    loaded. An ancestor's state, and one that a fork still has to train on from, stay.
    """
    fork = find_dependent_fork(run, round)
    if fork is not None:
        LOGGER.info("trainer state of round %d is kept for %s", round, fork)
        return
    depth = policy_depth(run)
    files = [name.split("/") for name in run.store.list_files(f"{run.policy_place(round)}/")]
    inside = (parts for parts in files if len(parts) > depth)
    state = {"/".join(parts[: depth + 1]) for parts in inside if parts[depth].startswith(REMOVABLE_PREFIX)}
    for name in sorted(state):
        run.store.remove(name)
