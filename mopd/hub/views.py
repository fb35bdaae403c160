"""The files of a repository that are used, as a folder of links in mopd's cache: one a commit, whole or not there.

The hub's cache is shared with other programs, which may put more files of the same commit beside ours; what a model
hashes to and is loaded from must not change with that.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from mopd.hub.names import HubName


def view_folder(name: HubName) -> Path:
    """Where the files of a pinned name are linked."""
    from mopd.models.embedded import cache_folder

    assert name.commit, f"{name} is not pinned"
    return cache_folder() / "hub" / f"{name.kind}s--{name.repo.replace('/', '--')}" / name.commit


def is_there(folder: Path) -> bool:
    """Whether all files are where they were linked."""
    return folder.is_dir() and all(path.exists() for path in folder.iterdir())


def publish_view(folder: Path, files: Iterable[Path]) -> None:
    """Links to the files, under their names, in place of what may be there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f"_{folder.name}-", dir=folder.parent))
    try:
        aside.chmod(0o755)
        for file in files:
            (aside / file.name).symlink_to(file.resolve())
        if folder.exists() and not is_there(folder):
            shutil.rmtree(folder)
        if not folder.exists():
            aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
