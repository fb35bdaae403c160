"""Whether the hosts of a cluster are alike: their Python, their mopd, and what it stands on.

What runs on a host that may have another mopd, or none, is sent there by value, so it takes the standard library alone.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOMS = ("flows", "mopd", "storage")


@dataclass(frozen=True)
class Facts:
    """What must be the same wherever a shard may be made."""

    python: str
    code: str
    """Digest of mopd's modules; "" where there is none."""
    packages: dict[str, str]
    """Versions; "" of one that is not installed."""


def facts_here(like: Facts) -> Facts:
    """Those of this process, of the same packages."""
    return find_facts(tuple(like.packages))


def find_facts(packages: tuple[str, ...]) -> Facts:
    """Those of this process."""
    return Facts(platform.python_version(), code_digest(), {name: version_of(name) for name in packages})


def name_of(node: dict[str, Any]) -> str:
    """Of a host, as lines about it begin; `node`: as Ray lists it."""
    return f"place: ray: host {node['NodeManagerHostname']} ({node['NodeManagerAddress']})"


def version_of(package: str) -> str:
    """Of an installed package; "" where it isn't."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def code_digest() -> str:
    """Of the text of all modules, as they would be imported here; "" where a room is missing."""
    digest = hashlib.sha256()
    for room in ROOMS:
        spec = importlib.util.find_spec(room)
        if spec is None or spec.origin is None:
            return ""
        root = Path(spec.origin).parent
        for path in sorted(root.rglob("*.py")):
            digest.update(f"{room}/{path.relative_to(root).as_posix()}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def difference(mine: Facts, other: Facts) -> str:
    """What is not the same, and the fix; "" where all is."""
    if other.python != mine.python:
        return f"has Python {other.python}, and this one {mine.python}; take the same on all hosts"
    if not other.code:
        return "has no mopd; install it there, from the same lock"
    if other.code != mine.code:
        return f"has another mopd (code {other.code[:8]}, here {mine.code[:8]}); install the same on all hosts"
    for package, version in mine.packages.items():
        if other.packages[package] != version:
            there, here = (found or "none" for found in (other.packages[package], version))
            return f"has {package} {there}, and this one {here}; install from the same lock on all hosts"
    return ""
