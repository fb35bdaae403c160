"""How much memory this process may still take: the machine's, or less where a control group limits it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

CONTROL_GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")
FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
"""Limit and use of a group, in versions 2 and 1 of control groups."""
SHARING = "MOPD_SHARING"
"""In the environment of a process: how many of its kind share this host's memory and cores."""


def num_sharing() -> int:
    """How many processes of this one's kind are on this host, itself included."""
    return int(os.environ.get(SHARING) or 1)


def available_memory() -> int:
    """Bytes that are free, or held by caches that give way, within all limits of the process."""
    import psutil

    return min([psutil.virtual_memory().available, *limited_memory(CONTROL_GROUPS, _read(OWN_GROUPS))])


def total_memory() -> int:
    """Bytes that the process could ever have: the machine's, or the least of the limits that it is under."""
    import psutil

    limits = [limit for folder in own_groups() for limit, _ in _limits(folder)]
    return min([psutil.virtual_memory().total, *limits])


def own_groups() -> list[Path]:
    """The control groups for memory that this process is in, each with those above it."""
    return list(_folders(CONTROL_GROUPS, _read(OWN_GROUPS)))


def _limits(folder: Path) -> list[tuple[int, str]]:
    """The limits of a group in bytes, each with the file that counts what it uses of it."""
    return [(int(limit), use) for name, use in FILES if (limit := _read(folder / name)).isdecimal()]


def limited_memory(root: Path, groups: str) -> list[int]:
    """What each limit leaves, in bytes; of the groups in `groups`, as /proc/self/cgroup lists them, and those above."""
    return [
        max(0, limit - used)
        for folder in _folders(root, groups)
        for limit, use in _limits(folder)
        if (used := _used(folder, use)) is not None
    ]


def _folders(root: Path, groups: str) -> Iterator[Path]:
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "memory" if controllers else root
        folder = top / path.lstrip("/")
        yield from (parent for parent in (folder, *folder.parents) if parent.is_relative_to(top))


def _used(folder: Path, name: str) -> int | None:
    """Bytes that a group uses, less those of files that can be read again."""
    used = _read(folder / name)
    stat = dict(line.split() for line in _read(folder / "memory.stat").splitlines())
    files = stat.get("total_inactive_file", stat.get("inactive_file", "0"))
    return int(used) - int(files) if used else None


def _read(file: Path) -> str:
    """The file's text; "" where it isn't there or can't be read."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""
