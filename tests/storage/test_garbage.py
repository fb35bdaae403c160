"""Promises: what killed commits left goes at the next chance, and no writer that lives is robbed of a part."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from storage.runs import RunFolder
from storage.shards import collect_garbage, commit_folder, find_manifest, manifests, verify_run
from storage.stores import files
from storage.stores.base import Entry
from storage.stores.local import LocalStore
from storage.stores.objects import ObjectStore
from tests.storage.storage_samples import commit, commit_policy, fill, key_of, make_rows, write_weights

ROOT = Path(__file__).parents[2]
LOST = "rollouts/round=0000/shard-00001-0123456789ab.parquet"
WRITER = """
import sys, time
from storage.stores.local import LocalStore
with LocalStore(__import__("pathlib").Path(sys.argv[1])).scratch("half") as path:
    path.mkdir()
    (path / "model.safetensors").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


@contextmanager
def writer(run: RunFolder) -> Iterator[subprocess.Popen[str]]:
    """Another process that has begun to write a policy; killed in the end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WRITER, str(run.path)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "writing\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def scratch(run: RunFolder) -> list[str]:
    return [path.name for path in (run.path / "_tmp").iterdir() if path.name not in files.LOCKS]


def test_all_that_nobody_names_goes_at_once_and_named_files_stay(run: RunFolder) -> None:
    fill(run)
    commit_policy(run)
    (run.path / LOST).write_bytes(b"lost the race")
    (run.path / "_tmp" / "half.partial").mkdir()
    (run.path / run.policy_place(1)).mkdir()
    write_weights(run.path / run.policy_place(1))
    assert collect_garbage(run) == ["_tmp/half.partial", LOST, "policies/round=0001"]
    assert verify_run(run) == []
    assert collect_garbage(run) == []


def test_what_a_killed_writer_left_goes_at_once_by_any_clock(run: RunFolder) -> None:
    with writer(run) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        (left,) = scratch(run)
        os.utime(run.path / "_tmp" / left, (2**32, 2**32))  # the clock was set back since
        assert collect_garbage(run) == [f"_tmp/{left}"]
    assert scratch(run) == []


def test_a_writer_that_lives_keeps_what_it_writes(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "WRITERS_PATIENCE_SECONDS", 0.1)
    (run.path / "rollouts" / "round=0000").mkdir(parents=True)
    (run.path / LOST).write_bytes(b"lost the race")
    with writer(run):
        (left,) = scratch(run)
        assert collect_garbage(run) == [LOST]
        assert scratch(run) == [left]
        assert collect_garbage(run, grace_seconds=0) == [f"_tmp/{left}"]


def test_the_last_writers_of_a_killed_process_are_waited_for(run: RunFolder) -> None:
    with writer(run) as process:
        end = threading.Timer(0.3, process.kill)
        end.start()
        assert len(collect_garbage(run)) == 1
        end.join()


def test_who_begins_to_write_while_garbage_is_removed_waits(run: RunFolder) -> None:
    wrote = []

    def write() -> None:
        run.store.replace("note", b"mine")
        wrote.append(time.monotonic())

    thread = threading.Thread(target=write)
    with run.store.alone() as nobody_writes:
        thread.start()
        time.sleep(0.2)
        ended = time.monotonic()
    thread.join()
    assert nobody_writes
    assert wrote[0] >= ended


def test_a_policy_that_is_swept_while_it_is_written_is_not_committed(run: RunFolder) -> None:
    """Not even where its writer makes the folder again, with the files that it writes since."""

    def write(folder: Path) -> None:
        write_weights(folder)
        files.sweep_temporary(run.path, 0)
        folder.mkdir()
        (folder / "config.json").write_text("{}")

    with pytest.raises(FileNotFoundError, match="was removed while it was written to"):
        commit_folder(run, round=0, key=key_of(0), parents=[], info={}, write=write)
    assert manifests(run, "policies") == []
    assert scratch(run) == []


def test_a_folder_that_two_remove_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder" / "below").mkdir(parents=True)
    rmtree = shutil.rmtree

    def too_late(path: Path) -> None:
        monkeypatch.setattr(shutil, "rmtree", rmtree)
        (path / "below").rmdir()
        raise FileNotFoundError

    monkeypatch.setattr(shutil, "rmtree", too_late)
    files.remove(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def test_what_another_process_removes_while_garbage_is_looked_for_is_no_error(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(run, "rollouts", make_rows("rollouts", run.run_id))
    for name in ("gone.partial", "half.partial"):
        (run.path / "_tmp" / name).mkdir()
    last_change = files.last_change

    def look_too_late(path: Path) -> float:
        (run.path / "_tmp" / "gone.partial").rmdir()
        monkeypatch.setattr(files, "last_change", last_change)
        return last_change(path)

    monkeypatch.setattr(files, "last_change", look_too_late)
    assert collect_garbage(run) == ["_tmp/half.partial"]


def test_a_forks_note_that_goes_while_garbage_is_looked_for_is_no_error(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.store.replace("forks/failed-1.json", b'{"fork": "/nowhere", "policy": 0, "files": ["rollouts/kept"]}')
    list_files = LocalStore.list_files

    def list_early(store: LocalStore, prefix: str) -> dict[str, Entry]:
        found = list_files(store, prefix)
        store.remove("forks/failed-1.json")
        return found

    monkeypatch.setattr(LocalStore, "list_files", list_early)
    assert collect_garbage(run) == []


def test_garbage_beside_a_damaged_manifest_is_kept(run: RunFolder) -> None:
    manifest = commit(run, "rollouts", make_rows("rollouts", run.run_id))
    next((run.path / "rollouts" / "round=0000").glob("*.json")).write_text("{")
    assert collect_garbage(run) == []
    assert (run.path / manifest.file).exists()


def remove_when_put(store: ObjectStore, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process takes that data for garbage as soon as it is there."""
    put_data = ObjectStore._put_data

    def put(self: ObjectStore, written: Path, target: str, **there: Any) -> None:
        put_data(self, written, target, **there)
        if not there:
            self.remove(name.format(target))

    monkeypatch.setattr(ObjectStore, "_put_data", put)


@pytest.mark.parametrize("name", ["{}", "{}/config.json"])
def test_data_that_goes_before_a_bucket_has_its_manifest_is_put_again(
    remote: RunFolder, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    remove_when_put(remote.store, name, monkeypatch)
    policy = commit_policy(remote)
    assert verify_run(remote) == []
    assert find_manifest(remote, "policies", 0, 0, policy.key) == policy


def test_a_shard_that_goes_before_a_bucket_has_its_manifest_is_put_again(
    remote: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove_when_put(remote.store, "{}", monkeypatch)
    commit(remote, "rollouts", make_rows("rollouts", remote.run_id))
    assert verify_run(remote) == []


def test_no_manifest_names_nothing_where_a_policy_was_swept_on_its_way_to_a_bucket(remote: RunFolder) -> None:
    swept = (remote.path / "_tmp" / "swept.partial", "policies/round=0000/attempt")
    with pytest.raises(FileNotFoundError, match="swept"):
        remote.store.publish("policies/round=0000.json", b"{}", settle=lambda there: False, data=swept)
    assert remote.store.list_files("policies/") == {}


def test_a_manifest_that_comes_to_a_bucket_when_its_data_was_taken_for_garbage_goes_too(
    remote: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = commit(remote, "rollouts", make_rows("rollouts", remote.run_id))
    (name,) = (name for name in remote.store.list_files("rollouts/") if name.endswith(".json"))
    manifest = remote.store.read(name)
    remote.store.remove(name)
    remove = ObjectStore.remove

    def remove_late(store: ObjectStore, gone: str) -> None:
        store.replace(name, manifest)
        remove(store, gone)

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "remove", remove_late)
        assert collect_garbage(remote) == [made.file]
    assert remote.store.list_files("rollouts/") == {}
