"""Sides of a run: other contexts and scores of rollouts that are there, in tables such as `scores@positive`.

RUN/sides/NAME.json          what is set otherwise than in the run
RUN/contexts@NAME/, RUN/scores@NAME/     laid out as the tables beside them
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from storage.errors import StorageError
from storage.files import make_folder, write_replacing
from storage.runs import RunFolder

FOLDER = "sides"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")


def check_side_name(name: str) -> None:
    """Raises StorageError for a name that can't be part of a folder's name everywhere."""
    if not _NAME.fullmatch(name):
        raise StorageError(
            f"--name {name!r}: must be up to 40 small letters, digits and any of _ . -, the first a letter or digit"
        )


def side_names(run: RunFolder) -> list[str]:
    """The sides of a run that were given settings of their own."""
    return sorted(path.stem for path in (run.path / FOLDER).glob("*.json"))


def read_side(run: RunFolder, name: str) -> list[str] | None:
    """The `key=value` overrides of a side; None where there is none of this name. Raises StorageError if damaged."""
    path = _path(run, name)
    if not path.exists():
        return None
    try:
        return [str(override) for override in json.loads(path.read_bytes())["set"]]
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path} is damaged ({error}): restore it, or take another --name") from error


def write_side(run: RunFolder, name: str, overrides: list[str]) -> None:
    """Keep, or replace, the overrides of a side."""
    make_folder(run.path / FOLDER)
    write_replacing(run.path, _path(run, name), json.dumps({"set": overrides}, indent=2, ensure_ascii=False).encode())


def _path(run: RunFolder, name: str) -> Path:
    return run.path / FOLDER / f"{name}.json"
