"""Copies of what lies in buckets: those that a process uses stay, of the others a few."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mopd.models.embedded import cache_folder
from storage.stores import copies, files
from storage.stores.copies import KEPT, copy_of

USE = """
import sys
from storage.stores.copies import copy_of
for name in sys.argv[1:]:
    copy_of("files", name, lambda path: path.write_text("x") and None)
print("made", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of copies."""
    monkeypatch.setenv("MOPD_CACHE", str(tmp_path))
    return tmp_path / "copies" / "files"


@contextmanager
def used_elsewhere(*names: str) -> Iterator[subprocess.Popen[str]]:
    """A process that uses copies, until it is killed."""
    command, root = [sys.executable, "-c", USE, *names], Path(__file__).parents[3]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "made\n"
            yield process
        finally:
            process.kill()


def make(name: str) -> Path:
    return copy_of("files", name, lambda path: path.write_text("x") and None)


def fetch(folder: Path) -> None:
    folder.mkdir()
    (folder / "weights").write_text("x")


def test_copies_that_nobody_uses_are_few(cache: Path) -> None:
    names = [f"copy-{number}" for number in range(KEPT + 3)]
    with used_elsewhere(*names):
        make("mine")
        assert all((cache / name).exists() for name in names)
    make("another")
    assert sorted(path.name for path in cache.glob("[!._]*")) == ["another", *names[-KEPT:], "mine"]
    assert copies.cache_folder() == cache_folder()


def test_many_copies_take_no_open_file_each() -> None:
    make("first")
    before = len(list(Path("/proc/self/fd").iterdir()))
    paths = [make(f"copy-{number}") for number in range(3 * KEPT)]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert all(path.exists() for path in paths)


def test_a_copy_that_goes_is_gone_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def be_killed(path: Path) -> None:
        raise RuntimeError("killed")

    for number in range(KEPT + 1):
        copy_of("files", f"copy-{number}", fetch)
    monkeypatch.setattr(copies, "_HELD", set())
    monkeypatch.setattr(copies, "_is_held", lambda path: False)
    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="killed"):
        patched.setattr(shutil, "rmtree", be_killed)
        copy_of("files", "another", fetch)
    assert not (cache / "copy-0").exists()
    copy_of("files", "another", fetch)
    assert list((cache / "_tmp").iterdir()) == []


def test_a_copy_is_on_the_disk_before_it_has_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(files, "fsync_path", lambda path: flushed.append(path.name) or None)
    copy_of("files", "folder", fetch)
    assert "weights" in flushed
