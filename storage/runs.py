"""A run is one folder: `run.json` says how it was made, everything else lies beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from storage.errors import StorageError
from storage.files import make_folder, write_exclusive

RUN_FILE = "run.json"
FORMAT = 1
_SHOWN_DIFFERENCES = 5


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
        content = json.dumps({**added, **document}, indent=2, ensure_ascii=False).encode()
        if not (folder / RUN_FILE).exists():
            write_exclusive(folder, folder / RUN_FILE, content)
        run = cls.open(folder)
        run._check_settings(json.loads(content)["settings"])
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
                f"{folder} has run format {document['format']}, this mopd reads {FORMAT}: use its version"
            )
        return cls(folder, document)

    @property
    def run_id(self) -> str:
        """The run's name in its tables: the folder's name when it was made."""
        return str(self.document["run_id"])

    def policy_folder(self, round: int) -> Path:
        """Where training of `round` leaves its policy (version `round + 1`)."""
        return self.path / "policies" / f"round={round:04d}"

    def _check_settings(self, settings: dict[str, Any]) -> None:
        differences = _differences(_flatten(self.document["settings"]), _flatten(settings))
        if not differences:
            return
        shown = "; ".join(differences[:_SHOWN_DIFFERENCES])
        more = len(differences) - _SHOWN_DIFFERENCES
        raise StorageError(
            f"{self.path} was made with other settings: {shown}{f'; and {more} more' if more > 0 else ''}: "
            "give the same settings to continue it, or another run folder"
        )


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted keys; lists count as one value."""
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= _flatten(item, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    def said(flat: dict[str, Any], key: str) -> str:
        return json.dumps(flat[key], ensure_ascii=False) if key in flat else "absent"

    keys = [key for key in {**there, **here} if key not in there or key not in here or there[key] != here[key]]
    return [f"{key} is {said(there, key)} there, {said(here, key)} here" for key in keys]
