"""Wheels with a file each, as pip takes them from a folder: `use_folder` is what pip then knows instead of an index."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest


def make_wheel(folder: Path, package: str, version: str, files: dict[str, bytes]) -> Path:
    """A wheel that nothing can import. Files by their place within it."""
    name = package.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, content in files.items():
            archive.writestr(place, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def use_folder(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Leaves pip this folder alone."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
