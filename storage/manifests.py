"""Manifests: what a run folder holds. A shard without a valid manifest does not exist.

A fork has manifests of its own for what it takes over; their data lies in an ancestor, their `home`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import numpy as np

from storage.errors import StorageError
from storage.runs import RunFolder
from storage.schemas import SCHEMAS
from storage.verdicts import sha256_once

LOGGER = logging.getLogger("mopd.storage")
POLICIES = "policies"
TABLES = (*SCHEMAS, POLICIES)
KEY_LETTERS = 12
"""How much of its key stands in the name of a manifest's file."""
REMOVABLE_PREFIX = "trainer"
"""Entries of a policy folder whose name begins so (optimizer and teacher state) may be removed later."""
_WARNED: dict[Path, str] = {}
"""Manifests that were warned of, with what is wrong with them."""
OPTIONAL = frozenset({"untimed", "name", "home"})
"""What a manifest need not say."""

_SEEN: ContextVar[dict[tuple[Path, str], Manifest | None] | None] = ContextVar("seen", default=None)
"""What `looking_once` has seen."""


@dataclass(frozen=True)
class Manifest:
    """What was committed: one shard of a table, or one policy folder. Paths are relative to the run folder."""

    table: str
    round: int
    shard: int
    key: str
    file: str
    """The Parquet file, or the folder."""
    rows: int
    bytes: int
    sha256: str
    """Of the file's bytes; of a policy's weights (all files but trainer state, names included)."""
    schema: dict[str, str]
    parents: list[str]
    info: dict[str, Any]
    versions: dict[str, str]
    created: str
    """UTC, ISO 8601 with microseconds: sorts as text."""
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of a folder: each file's `bytes` and `sha256`."""
    untimed: str = ""
    """Of a table with timings: sha256 of its rows without them."""
    name: str = ""
    """Of a shard of `storage.schemas.NAME_COLUMNS`: what names its rows among others of the same rollouts."""
    home: str = ""
    """The run that `file` lies in, by its name in `lineage.homes` of run.json; "": this one."""

    @cached_property
    def as_parent(self) -> str:
        """What a shard that was made from this one keeps of it."""
        return sys.intern(f"{self.key}:{self.content}")

    @property
    def content(self) -> str:
        """What a shard made from this one depends on: sha256 of the data, timings apart."""
        return self.untimed or self.sha256

    def list_files(self) -> Iterator[tuple[str, int, str, bool]]:
        """Each file: its path in the run folder, its bytes and sha256, and whether it may be gone."""
        if self.table != POLICIES:
            yield self.file, self.bytes, self.sha256, False
        for name, entry in self.files.items():
            yield f"{self.file}/{name}", entry["bytes"], entry["sha256"], is_removable(name)

    def to_json(self) -> str:
        """The manifest's file content; NaN and infinity become null. TypeError where `info` holds other objects."""
        return json.dumps(_plain(asdict(self)), indent=1, ensure_ascii=False, allow_nan=False)

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Parse a manifest; ValueError when it is damaged."""
        content = json.loads(path.read_bytes())
        kinds = _kinds()
        if not isinstance(content, dict) or not kinds.keys() - OPTIONAL <= content.keys() <= kinds.keys():
            raise ValueError("not a manifest")
        wrong = [name for name, value in content.items() if type(value) is not kinds[name]]
        if wrong:
            raise ValueError(f"not a manifest: {wrong[0]} is no {kinds[wrong[0]].__name__}")
        content["parents"] = [sys.intern(str(parent)) for parent in content["parents"]]  # many name the same ones
        return cls(**content)


@cache
def _kinds() -> dict[str, type]:
    """What each part of a manifest is: text, a number, a list or an object."""
    return {name: get_origin(kind) or kind for name, kind in get_type_hints(Manifest).items()}


def _plain(value: Any) -> Any:
    """Python values for numpy scalars, null for what is no finite number."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def shard_key(
    stage: str, *, version: int, settings: dict[str, Any], model: str, inputs: list[str], seed: int, shard: int
) -> str:
    """sha256 (hex) of all that decides a shard's content. `inputs`: what identifies its input shards, in order.

    `settings` must be plain JSON (pydantic: `model_dump(mode="json")`); TypeError otherwise.
    """
    parts = [stage, version, settings, model, inputs, seed, shard]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def manifest_path(run: RunFolder, table: str, round: int, shard: int, key: str) -> Path:
    """Where the manifest of a shard lies."""
    folder = run.path / table
    if table == POLICIES:
        return folder / f"round={round:04d}-{key[:KEY_LETTERS]}.json"
    return folder / f"round={round:04d}" / f"shard-{shard:05d}-{key[:KEY_LETTERS]}.json"


def find_manifest(run: RunFolder, table: str, round: int, shard: int, key: str) -> Manifest | None:
    """The manifest committed under `key`, if it and its data are whole; else None, with a warning if it is damaged.

    Raises StorageError for data of an ancestor that is gone or has changed: only that run can make it again.
    """
    seen = _SEEN.get()
    if seen is None:
        return _find(run, manifest_path(run, table, round, shard, key), key)
    if (run.path, key) not in seen:
        seen[run.path, key] = _find(run, manifest_path(run, table, round, shard, key), key)
    return seen[run.path, key]


@contextmanager
def looking_once() -> Iterator[None]:
    """Within it, this thread looks at each manifest once: for questions about many shards at one moment."""
    if _SEEN.get() is not None:
        yield
        return
    token = _SEEN.set({})
    try:
        yield
    finally:
        _SEEN.reset(token)


def _find(run: RunFolder, path: Path, key: str) -> Manifest | None:
    manifest, problem = _check(run, path)
    if manifest is not None and manifest.key != key:
        problem = f"{relative(run, path)} is for another key"
    if problem and manifest is not None and manifest.home:
        raise ancestor_error(run, problem)
    _tell_once(path, problem)
    return None if problem else manifest


def _tell_once(path: Path, problem: str) -> None:
    """Warn of what is wrong with a manifest: one that many ask for is told of once, until it is whole again."""
    if problem and _WARNED.get(path) != problem:
        LOGGER.warning("%s: it will be made again", problem)
        _WARNED[path] = problem
    elif not problem:
        _WARNED.pop(path, None)


def scan(
    run: RunFolder,
    table: str,
    round: int | None = None,
    *,
    name: str | None = "",
    unneeded: Collection[str] = (),
) -> tuple[list[Manifest], list[str]]:
    """The manifests of a table's current shards sorted by (name, round, shard), and what is wrong with the others.

    Of several under one place, made by different versions of a stage, the newest whole one is current. `name`: those of
    one name, the run's own unless it is given; None for all. `unneeded`: keys that aren't looked at.
    """
    current: dict[tuple[str, int, int], Manifest] = {}
    problems: list[str] = []
    passed_over = {key[:KEY_LETTERS] for key in unneeded}
    for path in manifest_paths(run, table, round):
        if path.stem.rpartition("-")[2] in passed_over:
            continue
        manifest, problem = _check(run, path)
        if problem:
            problems.append(problem)
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


def manifest_paths(run: RunFolder, table: str, round: int | None = None) -> list[Path]:
    """All manifest files of a table, whole or not."""
    place = "round=*" if round is None else f"round={round:04d}"
    pattern = f"{place}-*.json" if table == POLICIES else f"{place}/shard-*.json"
    return sorted((run.path / table).glob(pattern))


def _check(run: RunFolder, path: Path) -> tuple[Manifest | None, str]:
    """A manifest, None if it is damaged or not there; and what is wrong with it, in one line.

    No lock is held: one that is replaced while it is looked at is looked at again.
    """
    checked = _check_now(run, path)
    while checked[1] and (latest := _check_now(run, path)) != checked:
        checked = latest
    return checked


def _check_now(run: RunFolder, path: Path) -> tuple[Manifest | None, str]:
    """`_check` at one moment: each file must have its size."""
    try:
        manifest = Manifest.read(path)
    except FileNotFoundError:
        return None, ""
    except (ValueError, TypeError) as error:
        return None, f"{relative(run, path)} is damaged ({error})"
    home = run.home(manifest.home)
    for file, size, _, removable in manifest.list_files():
        shown = home / file if manifest.home else file
        try:
            actual = (home / file).stat().st_size
        except FileNotFoundError:
            if removable:
                continue
            return manifest, f"{shown} is missing"
        if actual != size:
            return manifest, f"{shown} has {actual} bytes instead of {size}"
    return manifest, ""


def data_path(run: RunFolder, manifest: Manifest) -> Path:
    """The Parquet file, or the policy folder, that a manifest names, in whichever run it lies."""
    return run.home(manifest.home) / manifest.file


def data_name(run: RunFolder, manifest: Manifest) -> str:
    """The same as messages name it: by its path in the run folder, or the whole path where an ancestor has it."""
    return str(data_path(run, manifest)) if manifest.home else manifest.file


def ancestor_error(run: RunFolder, problem: str) -> StorageError:
    """What is raised for data of an ancestor that isn't what was taken over."""
    return StorageError(
        f"{run.path}: {problem}; it was taken over when the run was forked: restore that file, or fork again"
    )


def is_removable(name: str) -> bool:
    """Whether a file of a policy folder is trainer state, which later rounds may remove."""
    return name.startswith(REMOVABLE_PREFIX)


def check_folder(run: RunFolder, manifest: Manifest, *, removable: bool) -> None:
    """Compare each file of a policy's weights, or (removable) of its trainer state, with its recorded sha256.

    Raises StorageError naming the first file that differs or is missing.
    """
    folder = data_path(run, manifest)
    for name, entry in manifest.files.items():
        path = folder / name
        if is_removable(name) == removable and (not path.is_file() or sha256_once(path) != entry["sha256"]):
            if manifest.home:
                raise ancestor_error(run, f"{path} is damaged or missing")
            file = manifest_path(run, manifest.table, manifest.round, manifest.shard, manifest.key)
            raise StorageError(f"{path} is damaged or missing: remove {folder} and {file}, then run again")


def relative(run: RunFolder, path: Path) -> str:
    """A path inside the run as its manifests and messages name it."""
    return path.relative_to(run.path).as_posix()
