"""Is a run whole? Its bytes, its rows, and whether all is there that later rounds were made from."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from flows.plan.run import DIGESTS, RunPlan
from flows.plan.shard import RoundPlan, Shard
from flows.plan.stage import STAGES
from storage.errors import StorageError
from storage.fit import check_rows, find_outdated
from storage.garbage import list_garbage
from storage.integrity import (
    BadFile,
    TableCount,
    count_table,
    find_bad_indexes,
    find_missing_trainer_state,
    verify_run,
)
from storage.lineage import NOTES, read_fork_notes
from storage.lookup import list_current, looking_once, manifest_names
from storage.manifests import POLICIES, TABLES, round_of
from storage.runs import RunFolder

Report = Callable[[int, int], None]
"""Told of how many bytes, of how many, were read."""
OUTDATED = "out of date: it was made from other rows than stand there now"
MISSING = "missing, though what comes after it is there"
_PLACE = re.compile(r"(?P<table>[^/]+)/round=(?P<round>\d+)(?:/shard-(?P<shard>\d+))?[^/]*\.json")


@dataclass(frozen=True)
class Problem:
    """What is wrong with a file of a run, and which shard is to be made again for it."""

    file: str
    reason: str
    aside: str = ""
    """What has to be set aside, with the data that it names, so that it is made again; "" where that does not help."""
    again: str = ""
    """The stage, round and shard, e.g. `generate round 0 shard 1`; "" where nothing is made again for it."""


@dataclass(frozen=True)
class Soundness:
    """What was found out about a run."""

    run: str
    tables: list[TableCount]
    damaged: list[Problem]
    lost: list[Problem]
    """Shards that are no more there, or don't fit to what they were made from: a start makes them again."""
    is_makeable: bool
    """Whether a start alone makes all that is lost again."""
    to_come: int | None
    """Shards that the run has yet to make; None for a folder that `mopd run` didn't make."""
    unnamed: list[str]
    """Files that no manifest names."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.damaged or self.lost)


def check_run(folder: RunFolder, report: Report = lambda done, of: None) -> Soundness:
    """Check everything in a run that can be checked without a model. Nothing is written; the run may be going on."""
    tables = [count_table(folder, table) for table in TABLES]
    damaged = find_damaged(folder, _counting(report, sum(table.bytes for table in tables)))
    lost, to_make = _find_lost(folder, {problem.aside for problem in damaged})
    names = {problem.file for problem in lost}
    return Soundness(
        folder.address,
        [table for table in tables if table.shards],
        damaged,
        lost,
        is_makeable=to_make is not None and names <= to_make,
        to_come=None if to_make is None else len(to_make - names - {problem.aside for problem in damaged}),
        unnamed=_list_unnamed(folder),
    )


def find_damaged(folder: RunFolder, progress: Callable[[int], None] = lambda bytes: None) -> list[Problem]:
    """Files whose bytes, and shards whose rows, are not what they should be."""
    bad = [*verify_run(folder, progress), *find_missing_trainer_state(folder), *find_bad_indexes(folder)]
    rounds = {"/".join(one.file.split("/")[-3:-1]) for one in bad}  # of an ancestor too
    bad += check_rows(folder, rounds)
    current = set(list_current(folder, [one.aside for one in bad]))
    return [*(_problem(one, one.aside in current) for one in bad), *_damaged_notes(folder)]


def place_of(table: str, round: int, shard: int) -> str:
    """A shard as people name it, by its stage."""
    if table == POLICIES:
        return f"{STAGES[table].name} round {round}"
    return f"{STAGES[table].name} {'policy' if table == 'evaluations' else 'round'} {round} shard {shard}"


def shard_of(manifest: str) -> tuple[str, int, int] | None:
    """Table, round and shard of a manifest, by its name; None for other files."""
    found = _PLACE.fullmatch(manifest)
    if found is None or found["table"] not in STAGES:
        return None
    return found["table"], int(found["round"]), int(found["shard"] or 0)


def _problem(bad: BadFile, is_current: bool) -> Problem:
    place = shard_of(bad.aside)
    reason = bad.reason if is_current else f"{bad.reason}; superseded"
    return Problem(bad.file, reason, bad.aside, place_of(*place) if place and is_current else "")


def _counting(report: Report, total: int) -> Callable[[int], None]:
    read = [0]

    def progress(bytes: int) -> None:
        read[0] += bytes
        report(read[0], total)

    return progress


def _list_unnamed(folder: RunFolder) -> list[str]:
    """Files that no manifest names; none where a fork's note can't be read, which may."""
    return [] if _damaged_notes(folder) else sorted(list_garbage(folder))


def _damaged_notes(folder: RunFolder) -> list[Problem]:
    try:
        read_fork_notes(folder)
    except StorageError as error:
        return [Problem(f"{NOTES}/", str(error))]
    return []


def _find_lost(folder: RunFolder, damaged: set[str]) -> tuple[list[Problem], set[str] | None]:
    """What is missing although later shards were made from it, or that was made from others than stand there now; and
    what a start would make, by the names of manifests."""
    outdated, named = find_outdated(folder)
    lost = {one.name_in(folder): (place_of(one.table, one.round, one.shard), OUTDATED) for one in outdated}
    if not folder.document.keys() >= set(DIGESTS):
        return _problems(lost, damaged), None
    plan = RunPlan.of(folder)
    with looking_once():
        absent = [shard for shard in plan.asked(folder) if shard.find(folder) is None]
        to_make = {shard.name_in(folder) for shard in plan.missing_of(folder, absent)}
        trained = {shard.key for part in plan.rounds[: _trained(folder)] for shard in _before_training(folder, part)}
    for shard in absent:
        if shard.key in named or shard.key in trained:
            lost.setdefault(shard.name_in(folder), (place_of(shard.table, shard.round, shard.shard), MISSING))
    return _problems(lost, damaged), to_make


def _before_training(folder: RunFolder, part: RoundPlan) -> list[Shard]:
    """What a round's policy comes after, and that one: its updates are recorded when it is there."""
    return [shard for shard in part.needed(folder).all() if shard.table != "updates"]


def _problems(lost: dict[str, tuple[str, str]], damaged: set[str]) -> list[Problem]:
    return [Problem(name, reason, "", again) for name, (again, reason) in lost.items() if name not in damaged]


def _trained(folder: RunFolder) -> int:
    """Rounds up to the newest that has a policy, be it damaged."""
    rounds = [round_of(name) for name in list_current(folder, manifest_names(folder, POLICIES))]
    return max((number + 1 for number in rounds if number is not None), default=0)
