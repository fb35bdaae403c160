"""Hard limits of a slot where this process may make control groups; elsewhere the limits of each process have to do."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from mopd.sandbox.base import Limits

PREFIX = "mopd-sandbox-"
EXTRA_MEMORY = 64 << 20
EXTRA_PROCESSES = 16
REMOVE_SECONDS = 5.0
SETTINGS = {
    ("memory", 1): "memory.limit_in_bytes",
    ("memory", 2): "memory.max",
    ("pids", 1): "pids.max",
    ("pids", 2): "pids.max",
}
Home = tuple[Path, int, str]
"""A folder that groups can be made in, its version of control groups, and the controller it is for."""


class ControlGroup:
    """The control groups of one slot: memory with /tmp, and processes, of everything in it together."""

    def __init__(self, name: str, limits: Limits) -> None:
        """Makes what can be made here; `folders` is empty where nothing can."""
        self.folders: list[Path] = []
        bounds = {
            "memory": 2 * (limits.memory_bytes + limits.file_bytes) + EXTRA_MEMORY,  # a program and its tests
            "pids": 2 * limits.num_processes + EXTRA_PROCESSES,
        }
        for home, version, controller in homes():
            remove_stale(home)
            folder = home / f"{PREFIX}{os.getpid()}-{name}"
            with contextlib.suppress(OSError):
                folder.mkdir(exist_ok=True)
                self.folders.append(folder)
                (folder / SETTINGS[controller, version]).write_text(str(bounds[controller]))

    @property
    def bounds_memory(self) -> bool:
        return any((folder / "memory.stat").exists() for folder in self.folders)

    def add(self, pid: int) -> None:
        """Moves a process in; what it starts from now on is in, too."""
        for folder in self.folders:
            with contextlib.suppress(OSError):  # a group we may make and not fill
                (folder / "cgroup.procs").write_text(str(pid))

    def remove(self) -> None:
        """Its processes must have ended; the kernel takes a moment to see that."""
        deadline = time.monotonic() + REMOVE_SECONDS
        while self.folders and time.monotonic() < deadline:
            self.folders = [folder for folder in self.folders if not try_to_remove(folder)]
            if self.folders:
                time.sleep(0.01)


def homes() -> list[Home]:
    """Where this process's own groups are, for each controller that we may use below them."""
    candidates: list[Home] = []
    for line in read_lines(Path("/proc/self/cgroup")):
        _, controllers, path = line.split(":", 2)
        for controller in ("memory", "pids"):
            if controller in controllers.split(","):
                candidates += [(folder, 1, controller) for folder in find_mounted("cgroup", path, controller)]
        if not controllers:
            folders = [folder for folder in find_mounted("cgroup2", path, "") if is_delegated(folder)]
            candidates += [(folder, 2, controller) for folder in folders for controller in ("memory", "pids")]
    return [home for home in candidates if os.access(home[0], os.W_OK)]


def find_mounted(kind: str, path: str, controller: str) -> list[Path]:
    """The folder of a group in the hierarchy of a controller, if that is mounted here."""
    for line in read_lines(Path("/proc/self/mountinfo")):
        words, _, filesystem = line.partition(" - ")
        fields = filesystem.split()
        if fields[:1] == [kind] and (not controller or controller in fields[-1].split(",")):
            folder = Path(words.split()[4], path.lstrip("/"))
            return [folder] if folder.is_dir() else []
    return []


def is_delegated(folder: Path) -> bool:
    """Version 2: whether groups below this one have both controllers."""
    enabled = " ".join(read_lines(folder / "cgroup.subtree_control")).split()
    return {"memory", "pids"} <= set(enabled)


def read_lines(path: Path) -> list[str]:
    """Lines of a file of the kernel's; none where it isn't there."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def remove_stale(home: Path) -> None:
    """Removes groups whose owner was killed before it could."""
    for folder in home.glob(f"{PREFIX}*"):
        owner = folder.name.removeprefix(PREFIX).partition("-")[0]
        if not Path("/proc", owner).exists():
            try_to_remove(folder)


def try_to_remove(folder: Path) -> bool:
    """Whether a group is gone now."""
    with contextlib.suppress(OSError):
        folder.rmdir()
    return not folder.exists()
