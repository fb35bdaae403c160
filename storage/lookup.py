"""Looking for manifests in a run: which shards it holds, whole, and which of them are current."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

from storage.errors import StorageError, with_mending
from storage.index import Listing, Texts
from storage.logger import LOGGER
from storage.manifests import KEY_LETTERS, POLICIES, Manifest, key_in, manifest_name, round_of
from storage.runs import RunFolder
from storage.schemas import SCHEMAS
from storage.stores.base import Entry

TAKEN_OVER = "it was taken over when the run was forked: restore that file, or fork again"
_WARNED: dict[str, str] = {}
"""Manifests that were warned of, with what is wrong with them."""

_COLLECTED: ContextVar[list[str] | None] = ContextVar("collected", default=None)
"""What `collected_problems` has."""
_SEEN: ContextVar[_Seen | None] = ContextVar("seen", default=None)
"""What `looking_once` has seen."""


def find_manifest(run: RunFolder, table: str, round: int, shard: int, key: str) -> Manifest | None:
    """The manifest committed under `key`, if it and its data are whole; else None, with a warning if it is damaged.

    None too for a shard that was superseded.
    Raises StorageError for data of an ancestor that is gone or has changed: only that run can make it again.
    """
    if key in run.superseded:
        return None
    name = manifest_name(run, table, round, shard, key)
    seen = _SEEN.get()
    if seen is None:
        return _find(run, name, key)
    if (run.address, key) not in seen.manifests:
        listing = seen.listing(run, table, round)
        seen.manifests[run.address, key] = _find(run, name, key, listing) if name in listing.entries else None
    return seen.manifests[run.address, key]


def list_round(run: RunFolder, round: int) -> dict[str, Entry]:
    """All files of a round in all tables, listed once within `looking_once`."""
    seen, folder = _SEEN.get() or _Seen(), f"/round={round:04d}"
    files: dict[str, Entry] = {}
    for table in SCHEMAS:
        files.update(seen.listing(run, table, round).entries)
    policies = seen.listing(run, POLICIES, round).entries
    return files | {name: entry for name, entry in policies.items() if name.startswith(f"{POLICIES}{folder}")}


@dataclass
class _Seen:
    """What was looked at: manifests by run and key, and the files of each table's round."""

    manifests: dict[tuple[str, str], Manifest | None] = field(default_factory=dict)
    listed: dict[tuple[str, str], Listing] = field(default_factory=dict)
    texts: Texts | None = None

    def listing(self, run: RunFolder, table: str, round: int) -> Listing:
        """The files of a table's round, listed once."""
        place = (run.address, _prefix(table, round))
        if place not in self.listed:
            self.listed[place] = Listing(run.store, run.store.list_files(place[1]), self.texts)
        return self.listed[place]


@contextmanager
def looking_once(texts: Texts | None = None) -> Iterator[None]:
    """Within it, this thread looks at each manifest once: for questions about many shards at one moment.

    `texts`: for who asks again at another moment, the manifests that were read by then.
    """
    if _SEEN.get() is not None:
        yield
        return
    token = _SEEN.set(_Seen(texts=texts))
    try:
        yield
    finally:
        _SEEN.reset(token)


def _find(run: RunFolder, name: str, key: str, listing: Listing | None = None) -> Manifest | None:
    manifest, problem = _check(run, name, listing)
    if manifest is not None and manifest.key != key:
        if manifest.table == POLICIES and not run.store.renames:
            return None  # another policy of the round, under the one name that there is
        problem = f"{name} is for another key"
    if problem and manifest is not None and manifest.home:
        raise ancestor_error(run, problem)
    _tell(run, name, problem)
    return None if problem else manifest


@contextmanager
def collected_problems() -> Iterator[list[str]]:
    """Within it, nobody is warned of what this thread comes upon: it is in the list, a line each with what mends it."""
    problems: list[str] = []
    token = _COLLECTED.set(problems)
    try:
        yield problems
    finally:
        _COLLECTED.reset(token)


def _tell(run: RunFolder, name: str, problem: str) -> None:
    """Of what is wrong with a manifest of the run's own."""
    collected = _COLLECTED.get()
    if collected is None:
        _tell_once(f"{run.address}/{name}", problem)
    elif problem:
        collected.append(with_mending(run.address, problem))


def _tell_once(place: str, problem: str) -> None:
    """Warn of what is wrong with a manifest: one that many ask for is told of once, until it is whole again."""
    if problem and _WARNED.get(place) != problem:
        LOGGER.warning("%s: mopd run makes it again where it is needed", problem)
        _WARNED[place] = problem
    elif not problem:
        _WARNED.pop(place, None)


def scan(
    run: RunFolder,
    table: str,
    round: int | None = None,
    *,
    name: str | None = "",
    unneeded: Collection[str] = (),
) -> tuple[list[Manifest], list[str]]:
    """The manifests of a table's current shards sorted by (name, round, shard), and a line for each other one: what is
    wrong with it, and what mends it.

    Of several under one place, made by different versions of a stage, the newest whole one is current. `name`: those of
    one name, the run's own unless it is given; None for all. `unneeded`: keys that aren't looked at; superseded ones
    aren't either.
    """
    current: dict[tuple[str, int, int], Manifest] = {}
    problems: list[str] = []
    passed_over = {key[:KEY_LETTERS] for key in unneeded}
    listing = Listing(run.store, run.store.list_files(_prefix(table, round)))
    for file in list_current(run, _choose_manifests(listing.entries, round)):
        if key_in(file) in passed_over:
            continue
        manifest, problem = _check(run, file, listing)
        if problem:
            problems.append(problem_line(run, manifest, problem))
        if manifest is None or problem:
            continue
        if name is not None and manifest.name != name:
            continue
        place = (manifest.name, manifest.round, manifest.shard)
        newest = current.get(place)
        if newest is None or (manifest.created, manifest.key) > (newest.created, newest.key):
            current[place] = manifest
    return [current[place] for place in sorted(current)], problems


def manifests(run: RunFolder, table: str, round: int | None = None, *, name: str | None = "") -> list[Manifest]:
    """What `scan` found whole; a warning for each that is not."""
    current, problems = scan(run, table, round, name=name)
    for problem in problems:
        LOGGER.warning("excluded: %s", problem)
    return current


def names_of(run: RunFolder, table: str) -> list[str]:
    """The names under which a table has rows beside the run's own."""
    return sorted({manifest.name for manifest in scan(run, table, name=None)[0]} - {""})


def manifest_names(run: RunFolder, table: str, round: int | None = None) -> list[str]:
    """All manifest files of a table, whole or not."""
    return _choose_manifests(run.store.list_files(_prefix(table, round)), round)


def read_manifests(run: RunFolder, table: str, round: int) -> dict[str, Manifest]:
    """All manifests of a round by name, be their data whole or not. ValueError when one is damaged."""
    listing = Listing(run.store, run.store.list_files(_prefix(table, round)))
    return {name: Manifest.read(listing, name) for name in _choose_manifests(listing.entries, round)}


def list_current(run: RunFolder, names: Iterable[str]) -> list[str]:
    """The names without those of manifests that were superseded."""
    superseded = {key[:KEY_LETTERS] for key in run.superseded}
    return [name for name in names if not _is_of_another_line(run, name) and key_in(name) not in superseded]


def list_renamed(run: RunFolder, names: Iterable[str]) -> dict[str, str]:
    """The manifests among the names whose rows have got another name than they say, and that one."""
    renamed = {key[:KEY_LETTERS]: name for key, name in run.renamed.items()}
    return {name: renamed[key_in(name)] for name in names if renamed and key_in(name) in renamed}


def _is_of_another_line(run: RunFolder, name: str) -> bool:
    """Whether a manifest is of a policy of another line of its round, where its name tells that and not its key."""
    if run.store.renames or not name.startswith(f"{POLICIES}/"):
        return False
    round = round_of(name)
    return round is not None and name != f"{run.policy_place(round)}.json"


def _choose_manifests(names: Iterable[str], round: int | None) -> list[str]:
    """The manifests among a table's files, of one round where it is given."""
    rounds = {name: round_of(name) for name in names}
    return [name for name, number in rounds.items() if number is not None and round in (None, number)]


def _prefix(table: str, round: int | None) -> str:
    """The folder that a table's manifests lie in; policies are few, and have one for all rounds."""
    return f"{table}/" if round is None or table == POLICIES else f"{table}/round={round:04d}/"


def _check(run: RunFolder, name: str, listing: Listing | None) -> tuple[Manifest | None, str]:
    """A manifest, None if it is damaged or not there; and what is wrong with it, in one line.

    `listing`: of files, from before; where one of them does not fit, or isn't among them, it is looked at.
    No lock is held: one that is replaced while it is looked at is looked at again.
    """
    checked = _check_now(run, name, listing)
    while checked[1] and (latest := _check_now(run, name)) != checked:
        checked = latest
    return checked


def _check_now(run: RunFolder, name: str, listing: Listing | None = None) -> tuple[Manifest | None, str]:
    """`_check` at one moment."""
    try:
        manifest = Manifest.read(listing or run.store, name)
    except FileNotFoundError:
        return None, ""
    except StorageError:  # the store, not the manifest
        raise
    except (ValueError, TypeError) as error:
        return None, f"{name} is damaged ({error})"
    if manifest.key in run.renamed:
        manifest = replace(manifest, name=run.renamed[manifest.key])
    return manifest, find_problem(run, manifest, listing.entries if listing else None)


def find_problem(run: RunFolder, manifest: Manifest, entries: Mapping[str, Entry] | None = None) -> str:
    """What is wrong with the data of a manifest, in one line: each file must have its size. "" where nothing is."""
    home = run.home(manifest.home)
    for file, size, _, removable in manifest.list_files():
        entry = None if manifest.home or entries is None else entries.get(file)
        if (entry is None or entry.bytes != size) and not (removable and entries):
            entry = home.stat(file)
        if (entry is None and removable) or (entry is not None and entry.bytes == size):
            continue
        shown = f"{home.address}/{file}" if manifest.home else file
        return f"{shown} is missing" if entry is None else f"{shown} has {entry.bytes} bytes instead of {size}"
    return ""


def problem_line(run: RunFolder, manifest: Manifest | None, problem: str) -> str:
    """What is wrong with a manifest or its data, and what mends it. `manifest`: None where it can't be read."""
    if manifest is not None and manifest.home:
        return f"{problem}; {TAKEN_OVER}"
    return with_mending(run.address, problem)


def data_name(run: RunFolder, manifest: Manifest) -> str:
    """The Parquet file, or the policy folder, that a manifest names, as messages name it: by its path in the run, or
    the whole path where an ancestor has it."""
    return f"{run.home(manifest.home).address}/{manifest.file}" if manifest.home else manifest.file


def ancestor_error(run: RunFolder, problem: str) -> StorageError:
    """What is raised for data of an ancestor that isn't what was taken over."""
    return StorageError(f"{run.address}: {problem}; {TAKEN_OVER}")
