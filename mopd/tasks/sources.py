"""Where rows come from: a JSON-lines file, a Parquet file, a folder, a data set of the hub, or a name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mopd.errors import InputError
from mopd.hub.names import HubName, dataset_name
from mopd.tasks.fields import Record
from mopd.tasks.folders import split_files
from mopd.tasks.generators import EXTRA, generated_rows

VARIABLE = re.compile(r"\$(?:\w+|\{\w+\})")


@dataclass(frozen=True)
class Source:
    """Numbered rows, from 1; a line of JSON is not parsed yet, so that each can be named by its number."""

    name: str
    dataset: str
    """What its tasks belong to when they don't say."""
    rows: Iterable[tuple[int, str | Record]]
    unit: str = "row"

    def where(self, number: int) -> str:
        """The place of a row: "tasks.jsonl:3", "tasks.parquet:row 3"."""
        return f"{self.name}:{number}" if self.unit == "line" else f"{self.name}:{self.unit} {number}"


def open_source(source: str) -> Source:
    """The rows of a source. Raises InputError when it can't be read; rows come as they are asked for."""
    source = expand(source)
    repository = dataset_name(source)
    if repository is not None:
        return _open_repository(repository)
    path, split = split_suffix(source)
    generated = None if path.exists() else generated_rows(source)
    if generated is None:
        return _open_path(source, path, split)
    dataset, rows = generated
    return Source(source, dataset, enumerate(rows, start=1))


def is_lines(source: str) -> bool:
    """Whether the source is a file of JSON lines."""
    path, _ = split_suffix(expand(source))
    return path.is_file() and path.suffix != ".parquet"


def expand(source: str) -> str:
    """The source with `~` and environment variables (`$DATA/t.jsonl`) filled in. Raises InputError for unset ones."""
    expanded = os.path.expandvars(source)
    unset = VARIABLE.search(expanded)
    if unset and not Path(expanded).exists():
        raise InputError(f"{source}: the environment variable {unset[0]} is not set; set it, or name the path itself")
    return os.path.expanduser(expanded)  # noqa: PTH111 - Path would fold the slashes of names


def split_suffix(source: str) -> tuple[Path, str | None]:
    """`folder#train` is a split of a folder, or `folder#main/train`; a path may have a # of its own."""
    folder, mark, split = source.rpartition("#")
    if mark and not Path(source).exists() and Path(folder).is_dir():
        return Path(folder), split
    return Path(source), None


def _open_repository(name: HubName) -> Source:
    """The rows of a data set of the hub: from the cache where it is pinned, else loaded now."""
    from mopd.tasks.hub import fetch_dataset, rows_file

    name = fetch_dataset(name, "")
    title = str(replace(name, revision=None))
    return Source(title, name.repo.rpartition("/")[2], enumerate(_parquet_rows([rows_file(name)]), start=1))


def _open_path(source: str, path: Path, split: str | None) -> Source:
    if path.is_dir():
        name = path.resolve().name
        return Source(source, name, enumerate(_folder_rows(path, split), start=1))
    if path.suffix == ".parquet":
        return Source(source, path.stem, enumerate(_parquet_rows([path]), start=1))
    return Source(source, path.stem, list(_lines(path)), unit="line")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that aren't blank. Only "\\n" ends one: JSON strings may hold U+2028, where splitlines() would cut."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give a JSON-lines or Parquet file, a folder of the datasets "
            "library, or a name such as human-eval (see docs/tasks.md)"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 (byte {error.start}); save the file as UTF-8") from error
    return ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())


def _folder_rows(folder: Path, split: str | None) -> Iterator[Record]:
    """Rows of a folder that `datasets` saved, or of the Parquet files in it."""
    if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
        return _saved_rows(folder, split)
    return _parquet_rows(split_files(folder, split))


def _choose_split(folder: Path, split: str | None, splits: list[str]) -> str:
    if split is None and len(splits) == 1:
        return splits[0]
    if split not in splits:
        problem = "has several splits" if split is None else f"has no split {split!r}"
        raise InputError(f"{folder}: {problem}; name one as {folder}#{splits[0]} (there are {', '.join(splits)})")
    return split


def _saved_rows(folder: Path, split: str | None) -> Iterator[Record]:
    """Rows of what `save_to_disk` wrote: one data set, or a dictionary of splits."""
    try:
        import datasets
    except ImportError as error:
        raise InputError(f"{folder}: the package datasets is missing; {EXTRA}") from error
    try:
        loaded: Any = datasets.load_from_disk(str(folder))
        if isinstance(loaded, datasets.DatasetDict):
            loaded = loaded[_choose_split(folder, split, list(loaded))]
        elif split is not None:
            raise InputError(f"{folder}: has no splits; name it without #{split}")
        yield from loaded
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{folder}: can't be read as a data set ({' '.join(str(error).split())})") from error


def _parquet_rows(paths: list[Path]) -> Iterator[Record]:
    import pyarrow
    import pyarrow.parquet

    for path in paths:
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                for batch in file.iter_batches():
                    yield from batch.to_pylist()
        except (OSError, pyarrow.ArrowException) as error:
            raise InputError(f"{path}: can't be read as Parquet ({' '.join(str(error).split())})") from error
