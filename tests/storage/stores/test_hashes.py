"""A file is read for its hash once, and again when it has changed; no note is more than a file's own hash."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from storage.stores import hashes
from storage.stores.files import sha256_file
from storage.stores.hashes import hashing_beside, sha256_of_each, sha256_once


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read."""
    monkeypatch.setenv("MOPD_CACHE", str(tmp_path / "cache"))
    files: list[Path] = []

    def note(path: Path) -> str:
        files.append(path)
        return sha256_file(path)

    monkeypatch.setattr(hashes, "sha256_file", note)
    monkeypatch.setattr(hashes, "NOTED_BYTES", 0)
    return files


def test_small_files_leave_no_note(tmp_path: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "NOTED_BYTES", 4)
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"one")
    large.write_bytes(b"four")
    assert [sha256_once(path) for path in (small, large) * 2] == [
        sha256(b"one").hexdigest(),
        sha256(b"four").hexdigest(),
    ] * 2
    assert read == [small, large, small]


def test_old_notes_are_forgotten(tmp_path: Path, read: list[Path]) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"one")
    sha256_once(weights)
    (old,) = (tmp_path / "cache" / "hashes").iterdir()
    os.utime(old, (0, 0))
    weights.write_bytes(b"another")
    sha256_once(weights)
    (new,) = (tmp_path / "cache" / "hashes").iterdir()
    assert new != old


def test_what_was_hashed_beside_the_writing_of_others_is_not_read_again(tmp_path: Path, read: list[Path]) -> None:
    weights, moments = tmp_path / "model.safetensors", tmp_path / "optimizer.safetensors"
    with hashing_beside() as hash_soon:
        weights.write_bytes(b"one")
        hash_soon(weights)
        moments.write_bytes(b"another")
    renamed = weights.rename(tmp_path / "renamed")
    assert sha256_of_each([renamed, moments]) == [sha256(b"one").hexdigest(), sha256(b"another").hexdigest()]
    assert sorted(read) == [weights, moments]


def test_a_file_that_has_gone_is_told_to_who_asks_for_its_hash(tmp_path: Path, read: list[Path]) -> None:
    with hashing_beside() as hash_soon:
        hash_soon(tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        sha256_once(tmp_path / "gone")


def test_of_all_who_ask_one_reads(tmp_path: Path, read: list[Path]) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"one")
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(sha256_once, [weights] * 8)) == {sha256(b"one").hexdigest()}
    assert read == [weights]
    weights.write_bytes(b"another")
    assert sha256_once(weights) == sha256(b"another").hexdigest()
    assert read == [weights, weights]


def test_a_note_that_was_cut_is_written_again(tmp_path: Path, read: list[Path]) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"one")
    sha256_once(weights)
    for note in (tmp_path / "cache" / "hashes").iterdir():
        note.write_text(note.read_text()[:10])
    assert [sha256_once(weights) for _ in range(2)] == [sha256(b"one").hexdigest()] * 2
    assert len(read) == 2


def test_a_cache_that_is_no_folder_costs_time_only(tmp_path: Path, read: list[Path]) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"one")
    (tmp_path / "cache").write_text("in the way")
    assert [sha256_once(weights) for _ in range(2)] == [sha256(b"one").hexdigest()] * 2
    assert len(read) == 2


def test_a_renamed_file_is_not_read_again(tmp_path: Path, read: list[Path]) -> None:
    written, named = tmp_path / "model.partial", tmp_path / "model.safetensors"
    written.write_bytes(b"one")
    known = sha256_once(written)
    written.rename(named)
    assert sha256_once(named) == known
    assert read == [written]


def test_hashes_are_in_the_order_of_the_files(tmp_path: Path, read: list[Path]) -> None:
    files = [tmp_path / str(number) for number in range(9)]
    for file in files:
        file.write_bytes(file.name.encode())
    assert sha256_of_each(files) == [sha256(file.name.encode()).hexdigest() for file in files]
