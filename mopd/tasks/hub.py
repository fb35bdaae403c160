"""Data sets by their names on the hub: the split that is asked for, loaded once and kept as a Parquet file a commit.

`datasets` says which files make which split, from the repository's card or from the files' names, and reads them. It is
shown a folder in which only that split's files are real, so that no other is loaded; the network is left to the hub's
client, and code of the repository's own is not run.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mopd.errors import InputError
from mopd.hub.errors import where
from mopd.hub.fetch import Progress, fetch_files, fetch_matching, list_files, pin, silent
from mopd.hub.names import HubName
from mopd.hub.views import view_folder
from mopd.tasks.generators import EXTRA

CARD_FILES = ("README.md", ".huggingface.yaml", "dataset_infos.json")
"""What `datasets` reads of a repository beside its data."""


def fetch_dataset(name: HubName, setting: str, *, progress: Progress = silent) -> HubName:
    """The name at its commit, its rows loaded. A pinned name whose rows are there needs no network.

    Raises InputError: not found, gated, no network, no room, no such split, several of them, files that can't be read.
    """
    name = pin(name, setting)
    if rows_file(name).is_file():
        return name
    _require_datasets(where(setting, name))
    snapshot = fetch_matching(name, setting, list(CARD_FILES))
    sizes = list_files(name, snapshot)
    rows_file(name).parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="_", dir=rows_file(name).parent) as aside:
        folder = Path(aside) / name.repo.rpartition("/")[2]
        _lay_out(folder, sizes, snapshot)
        with _dataset_errors(where(setting, name)):
            configuration, split, files = _choose_part(name, folder, where(setting, name))
        fetch_files(name, setting, files, sizes=sizes, snapshot=snapshot, progress=progress)
        for file in files:
            (folder / file).unlink()
            (folder / file).symlink_to((snapshot / file).resolve())
        with _dataset_errors(where(setting, name)):
            _read(folder, configuration, split, files, Path(aside)).rename(rows_file(name))
    return name


def rows_file(name: HubName) -> Path:
    """Where the rows of a pinned name are kept."""
    return view_folder(name) / f"{name.part.replace('/', '--') or 'rows'}.parquet"


def _lay_out(folder: Path, sizes: dict[str, int], snapshot: Path) -> None:
    """The repository's files, all empty but what tells of the others."""
    for file in sizes:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if file in CARD_FILES:
            shutil.copyfile(snapshot / file, path)
        else:
            path.touch()


def _choose_part(name: HubName, folder: Path, place: str) -> tuple[str, str, list[str]]:
    """Configuration, split and files that the name's part means."""
    import datasets

    configurations = datasets.get_dataset_config_names(str(folder))
    configuration, split = _configuration_of(name, configurations, place)
    data_files = datasets.load_dataset_builder(str(folder), configuration).config.data_files
    splits = [str(key) for key in data_files or {}]
    if split is None and len(splits) == 1:
        split = splits[0]
    if split not in splits:
        parts = splits if len(configurations) == 1 else [f"{configuration}/{known}" for known in splits]
        raise _no_part(name, place, "has several splits" if split is None else f"has no split {split!r}", parts)
    inside = [Path(path).relative_to(folder.resolve()) for path in data_files[split]]
    return configuration, split, [path.as_posix() for path in inside]


def _configuration_of(name: HubName, configurations: list[str], place: str) -> tuple[str, str | None]:
    """The configuration, and the split where the part says one."""
    before, slash, after = name.part.rpartition("/")
    if slash and before in configurations:
        return before, after
    if not slash and after in configurations:
        return after, None
    if not slash and len(configurations) == 1:
        return configurations[0], after or None
    problem = f"has no configuration {before or after!r}" if name.part else "has several configurations"
    raise _no_part(name, place, problem, configurations)


def _no_part(name: HubName, place: str, problem: str, parts: list[str]) -> InputError:
    example = f"hub:{name.repo}#{parts[0]}" if parts else f"hub:{name.repo}"
    return InputError(f"{place}: {problem}; name one as {example} (there are {', '.join(parts)})")


def _read(folder: Path, configuration: str, split: str, files: list[str], aside: Path) -> Path:
    """The rows of a split, as a Parquet file."""
    import datasets

    datasets.disable_progress_bars()
    rows: Any = datasets.load_dataset(
        str(folder),
        configuration,
        split=split,
        data_files={split: files},
        cache_dir=str(aside / "datasets"),
        verification_mode="no_checks",
    )
    rows.to_parquet(str(aside / "rows.parquet"))
    return aside / "rows.parquet"


@contextmanager
def _dataset_errors(place: str) -> Iterator[None]:
    """Whatever `datasets` or what it reads with raises is said in one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        causes = [error, error.__cause__] if error.__cause__ else [error]
        reason = " ".join(" ".join(str(cause).split()) for cause in causes)[:300]
        raise InputError(
            f"{place}: can't be read as a data set ({type(error).__name__}: {reason}); choose another, or give its "
            "files as a folder"
        ) from error


def _require_datasets(place: str) -> None:
    try:
        import datasets  # noqa: F401
    except ImportError as error:
        raise InputError(f"{place}: the package datasets is missing; {EXTRA}") from error
