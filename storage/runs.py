"""A run is one folder: `run.json` says how it was made, everything else lies beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from storage.errors import StorageError
from storage.files import make_folder, write_exclusive, write_replacing

RUN_FILE = "run.json"
FORMAT = 2
ABSENT = object()
"""Stands for a setting that one side doesn't have."""
_SHOWN_DIFFERENCES = 5
_SHOWN_CHARACTERS = 200
"""Of a value: a chat template is a page."""


@dataclass(frozen=True)
class RunFolder:
    """A run on disk: its folder and the content of its `run.json`."""

    path: Path
    document: dict[str, Any]

    @classmethod
    def create(cls, path: Path | str, document: dict[str, Any]) -> RunFolder:
        """Start a run in `path`, or open the one that was started there with the same `document["settings"]`.

        `run_id` (the folder's name), `format` and `created` are added where the document has none. Raises StorageError
        naming the settings that differ.
        """
        folder = Path(path).resolve()
        if folder.exists() and not folder.is_dir():
            raise StorageError(f"{path} is a file: name a folder for the run")
        make_folder(folder)
        added = {"run_id": folder.name, "format": FORMAT, "created": datetime.now(UTC).isoformat()}
        content = _to_json({**added, **document})
        if not (folder / RUN_FILE).exists():
            write_exclusive(folder, folder / RUN_FILE, content)
        run = cls.open(folder)
        differences = run.differences(document["settings"])
        if differences:
            raise StorageError(run.refusal(differences))
        return run

    @classmethod
    def open(cls, path: Path | str) -> RunFolder:
        """Open an existing run; StorageError when `path` is none."""
        folder = Path(path).resolve()
        try:
            document = json.loads((folder / RUN_FILE).read_bytes())
        except (FileNotFoundError, NotADirectoryError) as error:
            raise StorageError(f"{path} is not a run: it has no {RUN_FILE}") from error
        except ValueError as error:
            raise StorageError(f"{folder / RUN_FILE} is damaged ({error}): restore it, or start a new run") from error
        if not isinstance(document, dict) or not {"run_id", "format", "settings"} <= document.keys():
            raise StorageError(f"{folder / RUN_FILE} is not the description of a run: name another folder")
        if document["format"] != FORMAT:
            raise StorageError(
                f"{folder} has run format {document['format']}, this mopd reads format {FORMAT}: go on with the "
                "version of mopd that made it, or start a new run"
            )
        return cls(folder, document)

    def save(self) -> None:
        """Write `run.json` anew, with this document."""
        write_replacing(self.path, self.path / RUN_FILE, _to_json(self.document))

    @property
    def run_id(self) -> str:
        """The run's name in its tables: the folder's name when it was made."""
        return str(self.document["run_id"])

    def policy_folder(self, round: int) -> Path:
        """Where training of `round` leaves its policy (version `round + 1`): in a fork, maybe in an ancestor."""
        home = self.lineage.get("policies", {}).get(str(round), "")
        return self.home(home) / "policies" / f"round={round:04d}"

    @property
    def lineage(self) -> dict[str, Any]:
        """Where a fork comes from, as `storage.lineage` writes it; empty for a run of its own."""
        lineage: dict[str, Any] = self.document.get("lineage", {})
        return lineage

    def home(self, name: str) -> Path:
        """The folder of an ancestor, by its name in `lineage.homes`; of this run itself for "".

        Looked for beside this run first, so that both can be moved together. Raises StorageError if it has moved.
        """
        if not name:
            return self.path
        if name not in self._homes:
            self._homes[name] = self._find_home(name)
        return self._homes[name]

    @cached_property
    def _homes(self) -> dict[str, Path]:
        return {}

    def _find_home(self, name: str) -> Path:
        entry = self.lineage.get("homes", {}).get(name)
        if entry is None:
            raise StorageError(
                f"{self.path}: a manifest names the run {name}, which lineage.homes in {self.path / RUN_FILE} does not "
                "know: restore that file, or remove what was copied here from another run"
            )
        for path in ((self.path / entry["relative"]).resolve(), Path(entry["path"])):
            if _is_run(path, entry):
                return path
        raise StorageError(
            f"{self.path}: {entry['path']}, which it was forked from, has moved or is gone: put it back, or correct "
            f"lineage.homes in {self.path / RUN_FILE}"
        )

    def differences(self, settings: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Dotted keys of settings that differ from the run's, with the value there and the one given (or ABSENT)."""
        recorded, given = _flatten(self.document["settings"]), _flatten(json.loads(json.dumps(settings)))
        pairs = {key: (recorded.get(key, ABSENT), given.get(key, ABSENT)) for key in {**recorded, **given}}
        return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}

    def refusal(self, differences: dict[str, tuple[Any, Any]]) -> str:
        """What to say, in one line, when these settings may not differ."""
        lines = [
            f"{key} is {_show(recorded)} there, {_show(given)} here" for key, (recorded, given) in differences.items()
        ]
        more = len(lines) - _SHOWN_DIFFERENCES
        return (
            f"{self.path} was made with other settings: {'; '.join(lines[:_SHOWN_DIFFERENCES])}"
            f"{f'; and {more} more' if more > 0 else ''}: give the same settings to continue it, or another run folder"
        )


def _to_json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=2, ensure_ascii=False).encode()


def _is_run(path: Path, entry: dict[str, Any]) -> bool:
    """Whether the run that an entry of `lineage.homes` names lies there."""
    try:
        document = RunFolder.open(path).document
    except StorageError:
        return False
    return all(document.get(name) == entry[name] for name in ("run_id", "created"))


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted keys; lists count as one value."""
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= _flatten(item, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _show(value: Any) -> str:
    text = "absent" if value is ABSENT else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
