"""Files of a repository, loaded into the hub's cache by the hub's own client."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

from mopd.byte_text import byte_text
from mopd.errors import InputError
from mopd.hub.errors import cache, hub_errors, where
from mopd.hub.load import load_file
from mopd.hub.names import HubName

Progress = Callable[[dict[str, Any]], None]
"""Takes `{"transfer": "org/name", "done": 3, "of": 8, "begun": 1}`: bytes, `begun` from an earlier start."""
NUM_CONNECTIONS = 4
SHORT_COMMIT = 12


def silent(_: dict[str, Any]) -> None:
    """Ignore progress."""


def _ignore(_: int) -> None: ...


def pin(name: HubName, setting: str) -> HubName:
    """The name at the commit that its revision points to now or, without a network, did when it was last looked at.

    Raises InputError.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.utils import logging

    if name.commit:
        return name
    logging.set_verbosity_error()
    with hub_errors(name, setting):
        resolved = HfApi().resolve_revision(name.repo, repo_type=name.kind, revision=name.revision)
    return name.at(resolved.resolved)


def fetch_matching(name: HubName, setting: str, patterns: list[str]) -> Path:
    """The folder of a pinned name in the hub's cache, with the small files that match there. Raises InputError."""
    from huggingface_hub import snapshot_download

    with hub_errors(name, setting):
        return Path(
            snapshot_download(
                name.repo,
                repo_type=name.kind,
                revision=name.commit,
                allow_patterns=patterns,
                tqdm_class=_bar(),
            )
        )


def list_files(name: HubName, snapshot: Path) -> dict[str, int]:
    """The files of a pinned name with their bytes; those in the cache where a listing is not there either."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        entries = get_cached_repo_tree(name.repo, repo_type=name.kind, revision=name.commit)
    except CachedRepoTreeNotFoundError:
        paths = [path for path in snapshot.rglob("*") if path.is_file()]
        return {path.relative_to(snapshot).as_posix(): path.stat().st_size for path in paths}
    return {entry.path: entry.size for entry in entries}


def fetch_files(
    name: HubName, setting: str, files: Collection[str], *, sizes: dict[str, int], snapshot: Path, progress: Progress
) -> list[Path]:
    """Files of a pinned name in the hub's cache; those that are not there yet are loaded.

    Raises InputError, before anything is loaded where the disk has no room for them.
    """
    missing = [file for file in files if not (snapshot / file).exists()]
    total = sum(sizes[file] for file in missing)
    if missing:
        _check_room(name, setting, total)
        _load(name, setting, missing, Counter(name, total, progress))
    return [snapshot / file for file in files]


class Counter:
    """Bytes that have come, of several files at once."""

    def __init__(self, name: HubName, total: int, progress: Progress) -> None:
        self._label = f"{name.repo}@{(name.commit or '')[:SHORT_COMMIT]}"
        self._total, self._progress = total, progress
        self._done = self._begun = 0
        self._lock = threading.Lock()
        self.add(0)

    def begin(self, num_bytes: int) -> None:
        """So many of a file were there."""
        with self._lock:
            self._begun += num_bytes
        self.add(num_bytes)

    def add(self, num_bytes: int) -> None:
        """More have come; fewer, where a file is begun again."""
        with self._lock:
            self._done += num_bytes
            counts = {"done": self._done, "of": self._total, "begun": self._begun}
            self._progress({"transfer": self._label, **counts})


def _load(name: HubName, setting: str, files: Collection[str], counter: Counter) -> None:
    bar = _bar(counter.begin, counter.add)
    with hub_errors(name, setting), ThreadPoolExecutor(NUM_CONNECTIONS) as pool:
        for done in [pool.submit(load_file, name, file, bar) for file in files]:
            done.result()


def _check_room(name: HubName, setting: str, num_bytes: int) -> None:
    folder = Path(cache()).expanduser()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if num_bytes > free:
        raise InputError(
            f"{where(setting, name)}: {byte_text(num_bytes)} are to be loaded into {cache()}, where "
            f"{byte_text(free)} are free; make room, or set HF_HUB_CACHE to a folder that has it"
        )


def _bar(begin: Callable[[int], None] = _ignore, add: Callable[[int], None] = _ignore) -> Any:
    """What the hub's client takes for a progress bar: a class like tqdm's, that shows nothing itself."""

    class Bar:
        total: int | None = None
        n = 0
        format_dict: ClassVar[dict[str, Any]] = {}

        def __init__(self, *_: Any, **options: Any) -> None:
            begin(int(options.get("initial") or 0))

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None: ...

        def update(self, num_bytes: float | None = 1) -> None:
            add(int(num_bytes or 0))

        def __getattr__(self, name: str) -> Callable[..., Any]:
            return lambda *_, **__: {}

        def update_transfer(self, num_bytes: float | None = 1) -> None:
            """What comes over the network; `update` counts it once more, when it is on the disk."""

    return Bar
