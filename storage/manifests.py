"""Manifests: what a run folder holds. A shard without a valid manifest does not exist.

A fork has manifests of its own for what it takes over; their data lies in an ancestor, their `home`.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from typing import Any, get_origin, get_type_hints

import numpy as np

from storage.errors import StorageError
from storage.index import Listing
from storage.json_files import parse_json
from storage.runs import RunFolder
from storage.schemas import SCHEMAS
from storage.stores.base import Store

POLICIES = "policies"
TABLES = (*SCHEMAS, POLICIES)
KEY_LETTERS = 12
"""How much of its key stands in the name of a manifest's file."""
REMOVABLE_PREFIX = "trainer"
"""Entries of a policy folder whose name begins so (optimizer and teacher state) may be removed later."""
WEIGHTS_ENDING = ".safetensors"
REMOVED = "removed"
"""What a policy's `info` says since its weights were removed on purpose: when."""
_SCHEMAS: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
"""Those that manifests had: thousands have the same one."""
Text = bytes
"""A manifest as it lies there: `Manifest.bytes` is another thing."""
_SHARD = re.compile(r"round=(\d+)/shard-[^/]*\.json")
_POLICY = re.compile(r"round=(\d+)(?:-[^/]*)?\.json")
OPTIONAL = frozenset({"untimed", "name", "home"})
"""What a manifest need not say."""


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
    """UTC, ISO 8601 with microseconds: sorts as text. Later than that of any other manifest of the shard, whatever the
    clock says."""
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
    def removed(self) -> str:
        """Of a policy: when its weights were removed on purpose; "" where they weren't."""
        return str(self.info.get(REMOVED, ""))

    @property
    def content(self) -> str:
        """What a shard made from this one depends on: sha256 of the data, timings apart."""
        return self.untimed or self.sha256

    def name_in(self, run: RunFolder) -> str:
        """Where the manifest lies in a run, which may be another one than has the data."""
        return manifest_name(run, self.table, self.round, self.shard, self.key)

    def list_files(self) -> Iterator[tuple[str, int, str, bool]]:
        """Each file: its path in the run folder, its bytes and sha256, and whether it may be gone."""
        if self.table != POLICIES:
            yield self.file, self.bytes, self.sha256, False
        for name, entry in self.files.items():
            removable = is_removable(name) or (bool(self.removed) and is_weights(name))
            yield f"{self.file}/{name}", entry["bytes"], entry["sha256"], removable

    def to_json(self) -> str:
        """The manifest's file content; NaN and infinity become null. TypeError where `info` holds other objects."""
        return json.dumps(_plain(asdict(self)), indent=1, ensure_ascii=False, allow_nan=False)

    @classmethod
    def read(cls, place: Store | Listing, name: str) -> Manifest:
        """A manifest that lies there; ValueError when it is damaged."""
        return cls.parse(place.read(name))

    @classmethod
    def read_whole(cls, place: Store | Listing, name: str) -> Manifest | None:
        """The same; None where it is damaged, or not there. Raises StorageError where the store is away."""
        try:
            return cls.read(place, name)
        except StorageError:
            raise
        except (FileNotFoundError, ValueError, TypeError):
            return None

    @classmethod
    def parse(cls, text: Text | str) -> Manifest:
        """Parse a manifest; ValueError when it is damaged."""
        content = parse_json(text)
        kinds = _kinds()
        if not isinstance(content, dict) or not kinds.keys() - OPTIONAL <= content.keys() <= kinds.keys():
            raise ValueError("no manifest")
        wrong = [name for name, value in content.items() if type(value) is not kinds[name]]
        if wrong:
            raise ValueError(f"no manifest: {wrong[0]} is no {kinds[wrong[0]].__name__}")
        content["parents"] = [sys.intern(str(parent)) for parent in content["parents"]]  # many name the same ones
        content["schema"] = _SCHEMAS.setdefault(tuple(content["schema"].items()), content["schema"])  # and the same one
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


def shard_place(table: str, round: int, shard: int) -> str:
    """What the names of all manifests, and of all files, of a shard begin with: different keys make several."""
    return f"{table}/round={round:04d}/shard-{shard:05d}-"


def manifest_name(run: RunFolder, table: str, round: int, shard: int, key: str) -> str:
    """Where the manifest of a shard lies. A store without renames has one name for the policies of a round's line."""
    if table != POLICIES:
        return f"{shard_place(table, round, shard)}{key[:KEY_LETTERS]}.json"
    if run.store.renames:
        return f"{POLICIES}/round={round:04d}-{key[:KEY_LETTERS]}.json"
    return f"{run.policy_place(round)}.json"


def round_of(name: str) -> int | None:
    """The round that a manifest is of, by its name; None for other files."""
    table, _, rest = name.partition("/")
    named = (_POLICY if table == POLICIES else _SHARD).fullmatch(rest)
    return int(named[1]) if named else None


def key_in(name: str) -> str:
    """The beginning of its key, in the name of a shard's manifest."""
    return name.rpartition("-")[2].removesuffix(".json")


def is_weights(name: str) -> bool:
    """Whether a file of a policy folder is what a model is made of."""
    return name.endswith(WEIGHTS_ENDING)


def is_removable(name: str) -> bool:
    """Whether a file of a policy folder is trainer state, which later rounds may remove."""
    return name.startswith(REMOVABLE_PREFIX)
