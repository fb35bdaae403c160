"""Several runs, by what a user calls them: their folders or addresses, a pattern, or a folder of runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from mopd.errors import InputError
from storage.errors import StorageError
from storage.runs import RunFolder, is_run
from storage.stores.address import in_bucket, open_store


def open_runs(words: Sequence[str]) -> list[RunFolder]:
    """Every run that the words name, once. Raises InputError for a word that names none, and for a run that can't be
    asked together with the others: one of another format."""
    addresses = dict.fromkeys(str(address) for word in words for address in _find(word))
    runs = []
    for address in addresses:
        try:
            runs.append(RunFolder.open(address if in_bucket(address) else Path(address)))
        except StorageError as error:
            others = " ".join(other for other in addresses if other != address)
            raise InputError(f"{error}{f'; or leave it out: mopd sql --all {others} …' if others else ''}") from error
    return runs


def _find(word: str) -> list[str]:
    """The runs of one word."""
    found = sorted(place for place in _places(word) if is_run(place))
    if not found:
        found = sorted(place for outer in _places(word) for place in _below(outer) if is_run(place))
    if not found:
        raise InputError(f"{word}: is no run and holds none; name runs, a folder of runs, or a pattern in quotes")
    return found


def _places(word: str) -> Iterator[str]:
    """What a word names, be it there or not; a pattern names what it fits."""
    parent, _, pattern = word.rstrip("/").rpartition("/")
    if not set("*?[") & set(word):
        yield word
    elif set("*?[") & set(parent):
        raise InputError(f"{word}: a pattern may stand for the last part alone")
    else:
        yield from (place for place in _below(parent or ".") if fnmatchcase(place.rpartition("/")[2], pattern))


def _below(place: str) -> Iterator[str]:
    """The folders in a folder, or the prefixes one level below a prefix."""
    from pyarrow.fs import FileSelector, FileType

    system, path = open_store(place if in_bucket(place) else Path(place)).arrow("")
    try:
        entries = system.get_file_info(FileSelector(path.rstrip("/"), allow_not_found=True))
    except NotADirectoryError:
        return
    for entry in entries:
        if entry.type == FileType.Directory:
            yield f"{place.rstrip('/')}/{entry.base_name}"
