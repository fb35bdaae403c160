"""Promises: what is set aside keeps its name, in a folder and in a bucket, and a commit makes it again."""

from __future__ import annotations

import json

import pytest

from storage.aside import NOTE_FILE, set_aside
from storage.integrity import verify_run
from storage.manifests import manifest_name
from storage.runs import RunFolder
from storage.shards import Manifest, collect_garbage, commit_again, manifests
from storage.stores import objects
from storage.stores.local import LocalStore
from tests.storage.storage_samples import commit, commit_policy, key_of, make_rows


def name_of(run: RunFolder, made: Manifest) -> str:
    return manifest_name(run, made.table, made.round, made.shard, made.key)


def commit_both(run: RunFolder) -> tuple[Manifest, Manifest]:
    return commit(run, "rollouts", make_rows("rollouts", run.run_id)), commit_policy(run)


def check_both(run: RunFolder) -> None:
    """A shard and a policy are set aside, and made again."""
    shard, policy = commit_both(run)
    run.store.replace(shard.file, b"damaged")
    names = [name_of(run, shard), name_of(run, policy)]
    place = set_aside(run, {name: ["damaged"] for name in names})
    assert manifests(run, "rollouts") == manifests(run, "policies") == []
    there = run.store.list_files(f"{place}/")
    assert {f"{place}/{name}" for name in (*names, shard.file, f"{policy.file}/config.json", NOTE_FILE)} <= there.keys()
    assert json.loads(run.store.read(f"{place}/{NOTE_FILE}")) == {name: ["damaged"] for name in names}
    assert run.store.stat(shard.file) is None
    commit_both(run)
    assert verify_run(run) == []


def test_in_a_folder(run: RunFolder) -> None:
    check_both(run)


def test_in_a_bucket(remote: RunFolder) -> None:
    check_both(remote)


def test_in_a_bucket_what_is_large_is_not_moved(remote: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "MOVED_BYTES", 1000)
    shard, _ = commit_both(remote)
    set_aside(remote, {name_of(remote, shard): ["damaged"]})
    assert remote.store.stat(shard.file) is not None
    assert manifests(remote, "rollouts") == []


def test_data_that_another_manifest_names_stays(run: RunFolder) -> None:
    shard, _ = commit_both(run)
    other = commit_again(run, shard, key=key_of("other"), parents=[], info={}, name="other")
    set_aside(run, {name_of(run, shard): ["damaged"]})
    assert (run.path / shard.file).exists()
    set_aside(run, {name_of(run, other): ["damaged"]})
    assert not (run.path / shard.file).exists()


def test_killed_in_between_it_leaves_data_that_goes_as_garbage(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    shard, policy = commit_both(run)
    move, moved = LocalStore.move, []

    def killed(store: LocalStore, name: str, target: str) -> bool:
        moved.append(name)
        if len(moved) == 2:
            raise KeyboardInterrupt
        return move(store, name, target)

    monkeypatch.setattr(LocalStore, "move", killed)
    with pytest.raises(KeyboardInterrupt):
        set_aside(run, {name_of(run, shard): ["damaged"], name_of(run, policy): ["damaged"]})
    assert collect_garbage(run) == [shard.file]
    assert manifests(run, "policies") == [policy]
    assert verify_run(run) == []
