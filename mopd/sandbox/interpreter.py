"""Which Python runs programs: this one, or a copy of it where a slot's user can't reach it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mopd.errors import writing
from mopd.models.embedded import cache_folder
from mopd.sandbox.process import SandboxFailure

LEFT_OUT = ("site-packages", "dist-packages", "test", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3")
LIBRARIES = [
    "bz2",
    "crypto",
    "db",
    "expat",
    "ffi",
    "gcc_s",
    "lzma",
    "mpdec",
    "ncurses",
    "panel",
    "python",
    "readline",
    "sqlite3",
    "ssl",
    "stdc++",
    "tinfo",
    "uuid",
    "z",
]


@dataclass(frozen=True)
class Interpreter:
    """An interpreter and the folder it needs."""

    prefix: Path
    python: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the dynamic loader must be told."""
        return {"LD_LIBRARY_PATH": str(self.prefix / "lib")} if any(self.prefix.glob("lib/libpython*.so*")) else {}


def find_interpreter() -> Interpreter:
    """The interpreter that we run on, without its site-packages where it had to be copied. Raises SandboxFailure."""
    prefix = Path(sys.base_prefix).resolve()
    python = prefix / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    if not python.exists():
        raise SandboxFailure(f"no interpreter at {python}")
    if os.geteuid() != 0 or is_reachable(python):
        return Interpreter(prefix, python)
    copy = keep_interpreter(prefix, python)
    return Interpreter(copy, copy / "bin" / python.name)


def is_reachable(path: Path) -> bool:
    """Whether any user can go through the folders above a file and read it."""
    folders = all(folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents)
    return folders and bool(path.stat().st_mode & stat.S_IROTH)


def keep_interpreter(prefix: Path, python: Path) -> Path:
    """The copy of an interpreter in a cache folder, made on first use."""
    identity = f"{prefix} {sys.version} {python.stat().st_mtime_ns} {sysconfig.get_platform()}"
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    name = f"python-{sys.version_info.major}.{sys.version_info.minor}-{digest}"
    return keep_copy(name, lambda folder: copy_interpreter(prefix, python, folder))


def keep_copy(name: str, fill: Callable[[Path], None]) -> Path:
    """A folder of that name that every user can read and we alone can write; `fill` makes it once, aside."""
    base = public_cache()
    folder = base / name
    if not folder.exists():
        aside = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=base))
        try:
            with writing(folder):
                fill(aside)
            aside.chmod(0o755)
            aside.rename(folder)
        except OSError:
            if not folder.exists():  # nobody else has made it meanwhile
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return require_own(folder)


def public_cache() -> Path:
    """A folder for copies that every user can reach."""
    for base in (cache_folder(), Path("/var/cache/mopd"), Path(tempfile.gettempdir()) / f"mopd-{os.geteuid()}"):
        existing = next(folder for folder in (base, *base.parents) if folder.exists())
        if not is_reachable(existing):
            continue
        with contextlib.suppress(OSError, SandboxFailure):
            base.mkdir(mode=0o755, parents=True, exist_ok=True)
            return require_own(base)
    raise SandboxFailure("no folder for a copy of the interpreter; make /var/cache/mopd")


def require_own(folder: Path) -> Path:
    """The folder; SandboxFailure where somebody else could have written it."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise SandboxFailure(f"{folder} is not a folder of ours alone; remove it")
    return folder


def copy_interpreter(prefix: Path, python: Path, folder: Path) -> None:
    """Binary, shared libraries and standard library; links are followed."""
    version = python.name
    (folder / "bin").mkdir()
    (folder / "lib").mkdir()
    shutil.copy(python, folder / "bin" / version)
    for path in (prefix / "lib").glob("lib*.so*"):
        if any(path.name.startswith(f"lib{name}") for name in LIBRARIES):
            shutil.copy(path, folder / "lib" / path.name)
    ignore = shutil.ignore_patterns(*LEFT_OUT, "config-*")
    shutil.copytree(prefix / "lib" / version, folder / "lib" / version, ignore=ignore)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
