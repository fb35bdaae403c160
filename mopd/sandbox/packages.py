"""Installed packages that programs or tests may import, as folders that every user can read."""

from __future__ import annotations

import compileall
import hashlib
import re
import shutil
from collections.abc import Iterator
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from mopd.errors import InputError
from mopd.sandbox.interpreter import keep_copy

TESTING = ("pytest",)
"""What tests may import besides, where it is installed."""


@cache
def list_modules(packages: tuple[str, ...]) -> frozenset[str]:
    """What can be imported with these packages and all that they require. Raises InputError for missing ones."""
    paths = [path for package in closure(packages) for path in _contents(package)]
    return frozenset(path.name.split(".")[0] for path in paths if path.suffix != ".dist-info")


@cache
def closure(packages: tuple[str, ...]) -> tuple[Distribution, ...]:
    """These packages and what they require, by name. Raises InputError for one that isn't installed."""
    waiting = [(name, name) for name in packages]
    distributions: dict[str, Distribution] = {}
    while waiting:
        name, requested = waiting.pop()
        if _plain(name) in distributions:
            continue
        try:
            distributions[_plain(name)] = distribution(name)
        except PackageNotFoundError as error:
            required_by = "" if name == requested else f"{name}, which it requires, "
            raise InputError(
                f"verify.packages: {requested}: {required_by}is not installed here; pip install {name}, or remove "
                f"{requested}"
            ) from error
        waiting += [(required, requested) for required in _requirements(distributions[_plain(name)])]
    return tuple(distributions[name] for name in sorted(distributions))


@cache
def testing_packages() -> tuple[str, ...]:
    """`TESTING`, or nothing where it isn't installed."""
    try:
        closure(TESTING)
    except InputError:
        return ()
    return TESTING


@cache
def keep_packages(packages: tuple[str, ...]) -> Path | None:
    """A folder with copies of the packages, compiled, made on first use; None for no packages.

    Copies: what is installed may lie where a slot's user can't read, and may change while a run goes on.
    """
    if not packages:
        return None
    distributions = closure(packages)
    digest = hashlib.sha256(repr(digest_parts(packages)).encode()).hexdigest()[:12]

    def fill(folder: Path) -> None:
        for package in distributions:
            for path in _contents(package):
                _copy(Path(str(package.locate_file(path))), folder / path)
        compileall.compile_dir(folder, quiet=2)
        for path in folder.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)

    return keep_copy(f"packages-{digest}", fill)


def digest_parts(packages: tuple[str, ...]) -> list[str]:
    """Names, versions and records of the packages: what a digest of the policy covers."""
    return [f"{package.name} {package.version} {_digest(package)}" for package in closure(packages)]


def _digest(package: Distribution) -> str:
    return hashlib.sha256((package.read_text("RECORD") or "").encode()).hexdigest()[:12]


def _requirements(package: Distribution) -> Iterator[str]:
    for line in package.requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name


def _contents(package: Distribution) -> list[Path]:
    """Files and folders of a package at the top, its metadata among them; scripts lie elsewhere."""
    parts = {Path(str(file)).parts[0] for file in package.files or [] if not str(file).startswith(("..", "/"))}
    paths = sorted(Path(part) for part in parts if part not in ("__pycache__", "bin"))
    if not any("." not in path.name or path.suffix in (".py", ".so") for path in paths):
        raise InputError(f"verify.packages: {package.name} has no files to mount; install it, not as editable")
    return paths


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
