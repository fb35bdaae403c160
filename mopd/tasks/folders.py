"""Which Parquet files of a folder belong together: its configurations and splits, told from folders and file names.

train-00000-of-00002.parquet    train/0000.parquet    split=train/part-0.parquet      the split train
main/train-00000.parquet        main/train/0000.parquet    config=main/split=train/…  the split train of main
"""

from __future__ import annotations

import re
from pathlib import Path

from mopd.errors import InputError

Part = tuple[str, str]
"""Configuration and split, each "" where nothing tells of one."""

_SHARD = re.compile(r"(?:^|[-_.])(?:part|shard|chunk|data|file)?[-_.]?\d+(?:-of-\d+)?(?:-[0-9a-f]{6,})?$")
_NO_NAME = ("", "part", "shard", "chunk", "data", "file")
_SPLITS = re.compile(
    r"(?:partial-)?(?:train|training|test|testing|validation|valid|val|dev|eval|heldout|holdout)(?:[_.-]?\w+)?",
    re.IGNORECASE,
)
_NEUTRAL = ("data", "default", "parquet")
"""Folders that say nothing: the Hub puts its own conversion, and files without a configuration, into such."""


def split_files(folder: Path, name: str | None) -> list[Path]:
    """The files of one split, in order: the only one, or the one of that name, `split` or `configuration/split`.

    Raises InputError where there is no such, or more than one.
    """
    parts = read_folder(folder)
    if not parts:
        raise InputError(f"{folder}: holds no Parquet file, and `datasets` did not save it; give a folder that has one")
    fitting = [part for part in parts if name is None or name in list_names(part)]
    if len(fitting) == 1:
        return parts[fitting[0]]
    raise InputError(_problem(folder, name, list(parts), fitting))


def read_folder(folder: Path) -> dict[Part, list[Path]]:
    """The Parquet files of each split, sorted. Hidden files and folders hold none."""
    parts: dict[Part, list[Path]] = {}
    for path in sorted(folder.rglob("*.parquet")):
        inside = path.relative_to(folder).parts
        if not any(part.startswith((".", "_")) for part in inside):
            parts.setdefault(name_part(inside), []).append(path)
    return parts


def name_part(inside: tuple[str, ...]) -> Part:
    """Configuration and split of a file, by the folders that it is in and its own name."""
    split = ""
    configuration: list[str] = []
    for folder in inside[:-1]:
        key, equals, value = folder.partition("=")
        if key == "split" and equals:
            split = value
        elif key in ("config", "config_name", "subset", "name") and equals:
            configuration.append(value)
        elif _SPLITS.fullmatch(folder) and not split:
            split = folder
        elif folder not in _NEUTRAL:
            configuration.append(folder)
    stem = _SHARD.sub("", Path(inside[-1]).stem)
    if not split and stem not in _NO_NAME:
        split = stem
    elif _SPLITS.fullmatch(stem) and stem != split:  # test-0.parquet in train/
        configuration.append(split)
        split = stem
    return "/".join(configuration), split


def list_names(part: Part) -> set[str]:
    """What a part may be called by, where that is clear: also by its configuration alone, if it has one split."""
    configuration, split = part
    return {name for name in (split, configuration, f"{configuration}/{split}".strip("/")) if name}


def _problem(folder: Path, name: str | None, parts: list[Part], fitting: list[Part]) -> str:
    listed = sorted("/".join(filter(None, part)) for part in (fitting or parts))
    if fitting and len({configuration for configuration, _ in fitting}) > 1:
        problem = "has several configurations"
    elif fitting:
        problem = "has several splits"
    else:
        problem = f"has no split {name!r}"
    wanted = f" for {name!r}" if fitting and name is not None else ""
    return f"{folder}: {problem}{wanted}; name one as {folder}#{listed[0]} (there are {', '.join(listed)})"
