"""Removing what killed or lost commits left behind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator

from storage.errors import StorageError
from storage.lineage import find_dependent_fork, read_fork_notes
from storage.logger import LOGGER
from storage.lookup import find_problem, list_current, manifest_names, read_manifests, scan
from storage.manifests import KEY_LETTERS, POLICIES, REMOVABLE_PREFIX, Manifest, key_in, round_of
from storage.policies import policy_depth
from storage.runs import RunFolder
from storage.schemas import SCHEMAS

_SHARD = re.compile(r"[^/]+/round=(\d+)/shard-[^/]*\.parquet")
_POLICY = re.compile(rf"{POLICIES}/round=(\d+)(?:-\d+)?(?:/[^/]+)?")
WRITER_SECONDS = 3600.0
"""Where something is written in the scratch place by a process that may live, what is younger than that stays there."""


def collect_garbage(run: RunFolder, grace_seconds: float = WRITER_SECONDS) -> list[str]:
    """Remove what killed commits left: temporary files, and shards and policy folders that no manifest names.

    The caller holds the run, so whoever else commits to it is what a killed process left: its commit then fails, or is
    whole. Temporary files stay for `grace_seconds` where another process has one. What a fork took over stays. Returns
    names in the run. Where a manifest can't be read, nothing of its table's round is removed: it may name anything.
    """
    with run.store.alone() as nobody_writes:
        removed = run.store.sweep(0.0 if nobody_writes else grace_seconds)
        for table, round, names in _list_unnamed(run):
            for name in sorted(names):
                run.store.remove(name)
            if names:
                _remove_robbed(run, table, round, names)
            removed += sorted(names)
    return removed


def list_garbage(run: RunFolder) -> dict[str, int]:
    """What `collect_garbage` would remove if nobody else worked on the run, and the bytes of each."""
    unnamed = {name: bytes for _, _, names in _list_unnamed(run) for name, bytes in names.items()}
    return {**run.store.list_temporary(), **unnamed}


def list_superseded(run: RunFolder) -> dict[str, int]:
    """Manifests of shards that were superseded, and the data that only they name, with the bytes of each."""
    return _with_data(run, lambda table, names: set(names) - set(list_current(run, names)))


def list_earlier(run: RunFolder, needed: Collection[str]) -> dict[str, int]:
    """The same of shards that newer ones of their place came after: of earlier versions of a stage.

    `needed`: keys of shards that stay.
    """
    letters = {key[:KEY_LETTERS] for key in needed}

    def choose(table: str, names: list[str]) -> set[str]:
        current, problems = scan(run, table, name=None)
        if table == POLICIES or problems:  # what is damaged may be what came after
            return set()
        kept = {one.name_in(run) for one in current}
        return {name for name in list_current(run, names) if name not in kept and key_in(name) not in letters}

    return _with_data(run, choose)


def _with_data(run: RunFolder, choose: Callable[[str, list[str]], set[str]]) -> dict[str, int]:
    """Manifests that are chosen of each table, first, then the data that they name, no other does, and no fork took."""
    kept = {file for note in read_fork_notes(run) for file in note["files"]}
    manifests: dict[str, int] = {}
    data: dict[str, int] = {}
    for table in (*SCHEMAS, POLICIES):
        names = manifest_names(run, table)
        going = choose(table, names)
        for round in sorted({number for name in going if (number := round_of(name)) is not None}):
            there = _read_round(run, table, round) or {}
            named = kept | {one.file for name, one in there.items() if name not in going}
            gone = {name: one for name, one in there.items() if name in going and one.file not in kept}
            manifests |= {name: len(one.to_json().encode()) for name, one in gone.items()}
            data |= {one.file: one.bytes for one in gone.values() if one.file not in named and not one.home}
    return {**manifests, **data}


def _remove_robbed(run: RunFolder, table: str, round: int, removed: Collection[str]) -> None:
    """Remove manifests that came when it was settled that nobody names their data; only a bucket lets them come."""
    for name, manifest in (_read_round(run, table, round) or {}).items():
        if manifest.file in removed and not manifest.home and find_problem(run, manifest):
            run.store.remove(name)


def _list_unnamed(run: RunFolder) -> Iterator[tuple[str, int, dict[str, int]]]:
    """What no manifest names and no fork took over, by table and round, and the bytes of each."""
    kept = {file for note in read_fork_notes(run) for file in note["files"]}
    for table in (*SCHEMAS, POLICIES):
        by_round: dict[int, Counter[str]] = {}
        for round, name, bytes in _list_data(run, table):
            by_round.setdefault(round, Counter())[name] += bytes
        for round, candidates in sorted(by_round.items()):
            named = _read_round(run, table, round)
            if named is not None:
                unnamed = candidates.keys() - {one.file for one in named.values()} - kept
                yield table, round, {name: candidates[name] for name in unnamed}


def _list_data(run: RunFolder, table: str) -> Iterator[tuple[int, str, int]]:
    """Round, name and bytes of each shard, or of each file of a policy folder, by the folder's name."""
    depth = policy_depth(run) if table == POLICIES else 3
    for name, entry in run.store.list_files(f"{table}/").items():
        data = "/".join(name.split("/")[:depth])
        found = (_POLICY if table == POLICIES else _SHARD).fullmatch(data)
        if found:
            yield int(found[1]), data, entry.bytes


def _read_round(run: RunFolder, table: str, round: int) -> dict[str, Manifest] | None:
    """A round's manifests by name; None where one is damaged."""
    try:
        return read_manifests(run, table, round)
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
    loaded. An ancestor's state, one that a fork still has to train on from, and one that a round was redone from stay:
    what was redone once may be redone in another way, or brought back.
    """
    if any(entry["round"] == round + 1 for entry in run.document.get("redone", ())):
        return
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
