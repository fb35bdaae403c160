"""A run is one folder, here or in a bucket: `run.json` says how it was made, everything else lies beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from storage.errors import StorageError
from storage.json_files import parse_json
from storage.stores.address import Address, open_store
from storage.stores.base import Store

RUN_FILE = "run.json"
FORMAT = 2
ABSENT = object()
"""Stands for a setting that one side doesn't have."""
_SHOWN_DIFFERENCES = 5
_SHOWN_CHARACTERS = 200
"""Of a value: a chat template is a page."""


@dataclass(frozen=True)
class RunFolder:
    """A run: where its files lie and the content of its `run.json`."""

    store: Store
    document: dict[str, Any]

    @classmethod
    def create(cls, address: Address | Store, document: dict[str, Any]) -> RunFolder:
        """Start a run, or open the one that was started there with the same `document["settings"]`.

        `run_id` (the folder's name), `format` and `created` are added where the document has none. Raises StorageError
        naming the settings that differ.
        """
        store = _store_at(address)
        store.prepare()
        store.create(RUN_FILE, new_run(store, document))
        run = cls.open(store)
        differences = run.differences(document["settings"])
        if differences:
            raise StorageError(run.refusal(differences))
        return run

    @classmethod
    def open(cls, address: Address | Store) -> RunFolder:
        """Open an existing run; StorageError when there is none."""
        store = _store_at(address)
        try:
            content = store.read(RUN_FILE)
        except (FileNotFoundError, NotADirectoryError) as error:
            shown = address if isinstance(address, Path | str) else store.address
            raise StorageError(f"{shown} is not a run: it has no {RUN_FILE}") from error
        try:
            document = parse_json(content)
        except ValueError as error:
            file = f"{store.address}/{RUN_FILE}"
            raise StorageError(f"{file} is damaged ({error}): restore it, or start a new run") from error
        if not isinstance(document, dict) or not {"run_id", "format", "settings"} <= document.keys():
            raise StorageError(f"{store.address}/{RUN_FILE} is not the description of a run: name another folder")
        if document["format"] != FORMAT:
            raise StorageError(
                f"{store.address} has run format {document['format']}, this mopd reads format {FORMAT}: go on with the "
                "version of mopd that made it, or start a new run"
            )
        return cls(store, document)

    def save(self, before: RunFolder) -> None:
        """Write `run.json` anew, with this document. Raises StorageError where it is no more what `before` has."""
        there = self.store.read(RUN_FILE)
        if json.loads(there) != before.document or not self.store.swap(RUN_FILE, there, _to_json(self.document)):
            raise StorageError(f"{self.address}/{RUN_FILE}: another process changed it meanwhile; try again")

    @property
    def address(self) -> str:
        """The run as people name it: its folder, or `s3://bucket/prefix`."""
        return self.store.address

    @property
    def name(self) -> str:
        """The last part of its address."""
        return self.address.rpartition("/")[2]

    @property
    def path(self) -> Path:
        """Its folder on this host: the run itself, or, of a run in a bucket, what can't lie there: logs, scratch."""
        return self.store.host_folder

    @property
    def run_id(self) -> str:
        """The run's name in its tables: the folder's name when it was made."""
        return str(self.document["run_id"])

    def policy_place(self, round: int) -> str:
        """Where training of `round` leaves its policy (version `round + 1`): `policies/round=0003`, and another place
        for each line of a round that was redone. In a bucket each attempt has one below it, which its manifest names.
        """
        line = self.document.get("lines", {}).get(str(round), 0)
        return f"policies/round={round:04d}" + (f"-{line}" if line else "")

    @cached_property
    def superseded(self) -> frozenset[str]:
        """Keys of shards that the run had before a round of it was redone: they are in no table any more. Their files
        stay, to be brought back, until garbage is collected."""
        return frozenset(self.document.get("superseded", ()))

    @property
    def renamed(self) -> dict[str, str]:
        """Names that rows have now, by the shard's key: what was made as something beside the run may be its own
        since a round of it was redone."""
        renamed: dict[str, str] = self.document.get("renamed", {})
        return renamed

    @property
    def lineage(self) -> dict[str, Any]:
        """Where a fork comes from, as `storage.lineage` writes it; empty for a run of its own."""
        lineage: dict[str, Any] = self.document.get("lineage", {})
        return lineage

    @property
    def earlier(self) -> list[dict[str, Any]]:
        """The settings that rounds below a number follow where these are other ones than the run's: of a fork, or of a
        run of which a round was redone."""
        earlier: list[dict[str, Any]] = self.document.get("earlier", self.lineage.get("earlier", []))
        return earlier

    def home(self, name: str) -> Store:
        """Where an ancestor's files lie, by its name in `lineage.homes`; this run's own for "".

        Looked for beside this run first, so that both can be moved together. Raises StorageError if it has moved.
        """
        if not name:
            return self.store
        if name not in self._homes:
            self._homes[name] = self._find_home(name)
        return self._homes[name]

    @cached_property
    def _homes(self) -> dict[str, Store]:
        return {}

    def _find_home(self, name: str) -> Store:
        entry = self.lineage.get("homes", {}).get(name)
        if entry is None:
            raise StorageError(
                f"{self.address}: a manifest names the run {name}, which lineage.homes in {self.address}/{RUN_FILE} "
                "does not know: restore that file, or remove what was copied here from another run"
            )
        for store in (self.store.beside(entry["relative"]), self.store.beside(entry["path"])):
            if is_same_run(store, entry):
                return store
        raise StorageError(
            f"{self.address}: {entry['path']}, which it was forked from, has moved or is gone: put it back, or correct "
            f"lineage.homes in {self.address}/{RUN_FILE}"
        )

    def differences(self, settings: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Dotted keys of settings that differ from the run's, with the value there and the one given (or ABSENT)."""
        recorded, given = (
            flatten_settings(self.document["settings"]),
            flatten_settings(json.loads(json.dumps(settings))),
        )
        pairs = {key: (recorded.get(key, ABSENT), given.get(key, ABSENT)) for key in {**recorded, **given}}
        return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}

    def refusal(self, differences: dict[str, tuple[Any, Any]]) -> str:
        """What to say, in one line, when these settings may not differ."""
        lines = [
            f"{key} is {_show(recorded)} there, {_show(given)} here" for key, (recorded, given) in differences.items()
        ]
        more = len(lines) - _SHOWN_DIFFERENCES
        return (
            f"{self.address} was made with other settings: {'; '.join(lines[:_SHOWN_DIFFERENCES])}"
            f"{f'; and {more} more' if more > 0 else ''}: give the same settings to continue it, or another run folder"
        )


def _to_json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=2, ensure_ascii=False).encode()


def _store_at(address: Address | Store) -> Store:
    return open_store(address) if isinstance(address, Path | str) else address


def is_run(address: Address | Store) -> bool:
    """Whether a run lies there."""
    return _store_at(address).stat(RUN_FILE) is not None


def new_run(store: Store, document: dict[str, Any]) -> bytes:
    """The `run.json` of a run that begins there."""
    name = store.address.rpartition("/")[2]
    return _to_json({"run_id": name, "format": FORMAT, "created": datetime.now(UTC).isoformat(), **document})


def is_same_run(store: Store, entry: dict[str, Any]) -> bool:
    """Whether a run lies there that has that name and beginning, as an entry of `lineage.homes` or a `run.json` names
    it. StorageError where the store is away."""
    if not is_run(store):
        return False
    try:
        document = RunFolder.open(store).document
    except StorageError:
        return False
    return all(document.get(name) == entry[name] for name in ("run_id", "created"))


def flatten_settings(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted keys; lists count as one value."""
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= flatten_settings(item, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _show(value: Any) -> str:
    text = "absent" if value is ABSENT else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
