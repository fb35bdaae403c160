"""Which version of a verifier judges here, in words, so that verdicts can say by which one they were made."""

from __future__ import annotations

import hashlib
import inspect
import platform
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mopd.verifiers.base import VERIFIERS, Verifier, find_verifier

DIGEST_LETTERS = 8


def judge_versions(names: Iterable[str]) -> dict[str, str]:
    """By a verifier's name, its version here. Raises InputError when there is no such verifier."""
    return {name: describe_version(find_verifier(name)) for name in sorted(set(names))}


def describe_version(verifier: Verifier) -> str:
    """The packages that decide its verdicts, e.g. "math-verify 0.9.0, mopd 0.1.0"; of a function of the user's, the
    file that it is written in, with some letters of its sha256."""
    parts = [*verifier.packages, "mopd"] if verifier.name in VERIFIERS else []
    texts = [f"{name} {_installed(name)}" for name in parts] or [_describe_file(verifier)]
    return ", ".join([*texts, *([f"python {platform.python_version()}"] if verifier.sandboxed else [])])


def _installed(package: str) -> str:
    with suppress(PackageNotFoundError):
        return version(package)
    return "not installed"


def _describe_file(verifier: Verifier) -> str:
    with suppress(TypeError, OSError):  # built in, or its file has gone
        path = Path(inspect.getfile(inspect.unwrap(verifier.judge)))
        return f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()[:DIGEST_LETTERS]}"
    return "unknown"
