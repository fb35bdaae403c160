"""Promises of a run in a bucket: it holds what a run in a folder holds; of several writers one wins, and all see it."""

from __future__ import annotations

import pickle
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from storage import lineage
from storage.digest import digest_tables
from storage.errors import StorageError
from storage.lineage import create_fork
from storage.lookup import find_manifest
from storage.manifests import Manifest, manifest_name
from storage.policies import checked_folder
from storage.reading import ShardFile
from storage.runs import RunFolder
from storage.shards import (
    collect_garbage,
    commit_folder,
    commit_shard,
    manifests,
    read_rows,
    remove_trainer_state,
    verify_run,
)
from storage.sql.catalog import query
from storage.sql.script import write_catalog
from storage.stores import bucket as requests
from storage.stores import copies
from storage.stores.objects import ObjectStore
from tests.faulty_proxy import Fault, Faults, faulty
from tests.storage.storage_samples import fill, key_of, make_rows, write_weights

WRITERS = 6


def commit_policy(run: RunFolder, *, key: str = "", weights: bytes = b"weights") -> Manifest:
    write = partial(write_weights, weights=weights)
    return commit_folder(run, round=0, key=key or key_of(0), parents=[], info={}, write=write)


def commit_rollouts(run: RunFolder, *, parents: list[str], info: int = 0) -> Manifest:
    rows = make_rows("rollouts", run.run_id)
    return commit_shard(
        run, "rollouts", round=0, shard=0, key=key_of("one"), rows=rows, parents=parents, info={"n": info}
    )


@pytest.fixture
def faults(object_server: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """What goes wrong between this process and the store of `bucket`."""
    with faulty(object_server) as (endpoint, faults):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        yield faults


def test_a_run_in_a_bucket_holds_what_one_in_a_folder_holds(run: RunFolder, remote: RunFolder) -> None:
    for one in (run, remote):
        fill(one)
        commit_policy(one)
        write_catalog(one)
    assert digest_tables(remote) == digest_tables(run)
    assert verify_run(remote) == []
    shards = "SELECT table_name, rows, bytes, problem, current FROM shards ORDER BY ALL"
    views = [f"FROM {view} ORDER BY ALL" for view in ("episodes", "groups", "tokens")]
    for sql in (*views, shards, "SELECT count(*), min(run) FROM rollouts"):
        assert query(remote, sql) == query(run, sql)
    (rollouts,) = manifests(remote, "rollouts")
    assert [row["prompt_id"] for row in read_rows(remote, rollouts)] == ["a", "a", "b", "b"]
    assert list(ShardFile(remote, rollouts).plain(["sample"])) == [(0,), (1,), (0,), (1,)]
    assert b"s3://" in remote.store.read("catalog.sql")
    assert len(pickle.dumps(remote.store)) < 500


def test_of_writers_at_once_one_commits_and_all_see_it(remote: RunFolder) -> None:
    with ThreadPoolExecutor(WRITERS) as threads:
        made = list(threads.map(lambda n: commit_rollouts(remote, parents=["same:work"], info=n), range(WRITERS)))
    assert len({manifest.info["n"] for manifest in made}) == 1
    assert manifests(remote, "rollouts") == made[:1]


def test_work_of_other_parents_takes_the_place(remote: RunFolder) -> None:
    commit_rollouts(remote, parents=["old:1"])
    new = commit_rollouts(remote, parents=["new:1"])
    assert find_manifest(remote, "rollouts", 0, 0, key_of("one")) == new


def test_files_are_found_by_the_beginning_of_their_names(run: RunFolder, remote: RunFolder) -> None:
    for store in (run.store, remote.store):
        for name in ("a/x-1-a", "a/x-1-b", "a/x-10-a", "a/x-2-a", "ab/x-1-a"):
            store.create(name, b"")
        assert store.list_beginning("a/x-1-") == ["a/x-1-a", "a/x-1-b"]
        assert store.list_beginning("a/x-3-") == store.list_beginning("b/x-") == []


def test_a_damaged_manifest_gives_way(remote: RunFolder) -> None:
    made = commit_rollouts(remote, parents=[])
    name = manifest_name(remote, "rollouts", 0, 0, made.key)
    remote.store.replace(name, b"{")
    assert find_manifest(remote, "rollouts", 0, 0, made.key) is None
    commit_rollouts(remote, parents=[])
    assert [one.key for one in manifests(remote, "rollouts")] == [made.key]


def test_a_round_has_one_policy(remote: RunFolder) -> None:
    def race(number: int) -> str:
        try:
            return commit_policy(remote, key=key_of("policy", number), weights=b"%d" % number).key
        except StorageError as error:
            assert "never overwritten" in str(error)
            return ""

    with ThreadPoolExecutor(WRITERS) as threads:
        keys = [key for key in threads.map(race, range(WRITERS)) if key]
    assert [manifest.key for manifest in manifests(remote, "policies")] == keys
    (policy,) = manifests(remote, "policies")
    assert find_manifest(remote, "policies", 0, 0, key_of("another")) is None
    removed = collect_garbage(remote, grace_seconds=0)
    assert removed
    assert policy.file not in removed
    assert verify_run(remote) == []


@pytest.mark.cluster
@pytest.mark.parametrize("fault", ["lose the reply", "conflict"])
@pytest.mark.parametrize("parents", [["same:1"], ["other:1"]])
def test_a_commit_whose_reply_is_lost_is_found_to_be_ours(
    faults: Faults, bucket: str, parents: list[str], fault: Fault
) -> None:
    remote = RunFolder.create(f"{bucket}/run", {"settings": {}})
    first = commit_rollouts(remote, parents=["same:1"])
    faults.once(fault, "PUT", ".json")
    made = commit_rollouts(remote, parents=parents, info=2)
    assert made.info["n"] == (0 if parents == first.parents else 2)
    assert manifests(remote, "rollouts") == [made]
    assert len(faults.happened) == (0 if parents == first.parents else 1)


WRITES = {
    "lose the reply": [
        "run.json",
        "rollouts/.*parquet",
        "rollouts/.*json",
        "policies/.*safetensors",
        "policies/.*0000.json",
    ],
    "conflict": ["run.json", "rollouts/.*json", "policies/.*0000.json"],
}
"""A write without a condition meets no conflict."""


@pytest.mark.cluster
@pytest.mark.parametrize(("fault", "path"), [(fault, path) for fault, paths in WRITES.items() for path in paths])
def test_whatever_reply_is_lost_the_run_is_whole(faults: Faults, bucket: str, fault: Fault, path: str) -> None:
    faults.once(fault, "PUT", path)
    remote = RunFolder.create(f"{bucket}/run", {"settings": {}})
    made = commit_rollouts(remote, parents=[]), commit_policy(remote)
    assert len(faults.happened) == 1
    assert [*manifests(remote, "rollouts"), *manifests(remote, "policies")] == list(made)
    assert verify_run(remote) == []


def test_a_store_that_refuses_what_holds_is_not_asked_for_ever(
    faults: Faults, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "RETRIES", 0)
    monkeypatch.setattr(requests, "CONFLICT_SECONDS", 0.5)
    faults.choose = lambda method, path: "conflict" if method == "PUT" else ""
    with pytest.raises(StorageError, match=r"says again and again that others write _tmp/probe-\w+: use another store"):
        RunFolder.create(f"{bucket}/run", {"settings": {}})


def test_an_object_that_was_written_again_is_another_one_without_etags_too() -> None:
    times = [datetime(2026, 11, 29, second=second, tzinfo=UTC) for second in (1, 2)]
    entries = [requests._entry({"size": 7, "e_tag": None, "last_modified": time}) for time in times]
    assert entries[0].stamp != entries[1].stamp


def test_a_lease_that_cannot_be_given_back_hides_no_error(
    remote: RunFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> str:
        raise StorageError("the store is away")

    with pytest.raises(RuntimeError, match="the reason"), remote.store.hold():
        monkeypatch.setattr(requests.Bucket, "put_over", refuse)
        raise RuntimeError("the reason")
    assert "run.lock: the store is away" in caplog.text


@pytest.mark.cluster
def test_a_store_that_ignores_conditions_is_refused(
    faults: Faults, bucket: str, request: pytest.FixtureRequest
) -> None:
    if "seaweed" in request.node.name:
        pytest.skip("requests without headers that are signed are refused there")
    faults.choose = lambda method, path: "no conditions"
    with pytest.raises(StorageError, match="does not keep the conditions of writes") as caught:
        RunFolder.create(f"{bucket}/run", {"settings": {}})
    assert "\n" not in str(caught.value)
    assert ObjectStore.at(f"{bucket}/run").list_files("") == {}


def test_a_policy_is_copied_once_and_checked(remote: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = commit_policy(remote)
    folder = checked_folder(remote, policy)
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert not (folder / "trainer").exists()
    assert (checked_folder(remote, policy, removable=True) / "trainer" / "optimizer.pt").read_bytes() == b"state"
    monkeypatch.setattr(ObjectStore, "_fetch", None)
    assert checked_folder(remote, policy) == folder
    assert not (checked_folder(remote, policy) / ".lock").exists()


def test_copies_may_lie_on_another_disk(remote: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    copies.cache_folder().mkdir(exist_ok=True)
    (copies.cache_folder() / "copies").symlink_to(tmp_path / "disk")
    folder = checked_folder(remote, commit_policy(remote))
    assert folder.resolve().parent == tmp_path / "disk" / "folders"


def test_a_full_disk_of_the_host_is_named(remote: RunFolder) -> None:
    def fill_the_disk(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left on device: ") as caught:
        commit_folder(remote, round=0, key=key_of(0), parents=[], info={}, write=fill_the_disk)
    assert Path(caught.value.filename).is_relative_to(remote.path)
    policy = commit_policy(remote)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: .*/copies/folders/"):
            checked_folder(remote, policy)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((copies.cache_folder() / "copies" / "folders").glob("[!._]*")) == []


def test_a_damaged_policy_is_no_copy(remote: RunFolder) -> None:
    policy = commit_policy(remote)
    remote.store.replace(f"{policy.file}/model.safetensors", b"wEights")
    with pytest.raises(StorageError, match=f"{policy.file}/model.safetensors is damaged or missing: mopd repair s3://"):
        checked_folder(remote, policy)
    assert list((copies.cache_folder() / "copies" / "folders").glob("[!._]*")) == []
    assert [bad.file for bad in verify_run(remote)] == [f"{policy.file}/model.safetensors"]


def test_a_copy_stays_in_its_folder(remote: RunFolder) -> None:
    policy = commit_policy(remote)
    outside = {**policy.files, "../../outside.safetensors": policy.files["model.safetensors"]}
    with pytest.raises(StorageError, match="is damaged or missing"):
        checked_folder(remote, replace(policy, files=outside))


def test_trainer_state_may_go(remote: RunFolder) -> None:
    policy = commit_policy(remote)
    remove_trainer_state(remote, 0)
    assert manifests(remote, "policies") == [policy]
    assert verify_run(remote) == []
    assert [name for name in remote.store.list_files("policies/") if "trainer" in name] == []


def test_a_file_that_is_no_policys_stays(remote: RunFolder) -> None:
    commit_policy(remote)
    remote.store.replace("policies/round=0000/notes.txt", b"mine")
    remove_trainer_state(remote, 0)
    assert [name for name in remote.store.list_files("policies/") if "trainer" in name] == []
    assert remote.store.read("policies/round=0000/notes.txt") == b"mine"


def test_a_fork_in_the_bucket_takes_over_by_reference(remote: RunFolder, bucket: str) -> None:
    fill(remote)
    taken = [*manifests(remote, "prompts"), *manifests(remote, "rollouts")]
    document = {"settings": remote.document["settings"]}
    fork = create_fork(remote, ObjectStore.at(f"{bucket}/fork"), document, {}, taken)
    assert query(fork, "SELECT DISTINCT run FROM rollouts").rows == [("fork",)]
    assert [replace(one, home="") for one in manifests(fork, "rollouts")] == manifests(remote, "rollouts")
    with pytest.raises(StorageError, match="is there already and not empty"):
        create_fork(remote, ObjectStore.at(f"{bucket}/fork"), document, {}, taken)


def test_who_makes_a_run_where_another_one_was_made_meanwhile_leaves_that_whole(
    remote: RunFolder, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(remote)
    taken, document = manifests(remote, "rollouts"), {"settings": remote.document["settings"]}
    place = ObjectStore.at(f"{bucket}/fork")
    fork = create_fork(remote, place, document, {}, taken)
    held = [*fork.store.list_files(""), *remote.store.list_files("forks/")]
    monkeypatch.setattr(lineage, "require_new", lambda store: None)  # both looked before either had begun
    with pytest.raises(StorageError, match=r"fork: another process made a run there: name another place"):
        create_fork(remote, place, document, {}, taken)
    assert [*fork.store.list_files(""), *remote.store.list_files("forks/")] == held
    assert RunFolder.open(place) == fork
    assert place.bucket.get("_tmp/new-run") is None


@pytest.mark.parametrize("last", ["rollouts/a.json", "run.json"])
def test_who_is_stopped_while_it_makes_a_run_leaves_nothing(
    bucket: str, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    create = ObjectStore.create

    def be_stopped(store: ObjectStore, name: str, content: bytes) -> bool:
        create(store, name, content)
        if name == last:
            raise KeyboardInterrupt
        return True

    monkeypatch.setattr(ObjectStore, "create", be_stopped)
    place = ObjectStore.at(f"{bucket}/new")
    with pytest.raises(KeyboardInterrupt):
        place.create_all({"rollouts/a.json": b"{}", "run.json": b"{}"})
    assert list(place.bucket.list_all("")) == []


def test_of_two_that_make_a_run_at_one_place_at_once_one_does(remote: RunFolder, bucket: str) -> None:
    place, files = ObjectStore.at(f"{bucket}/new"), {"rollouts/round=0000/shard-00000-a.json": b"{}"}

    def make(number: int) -> bool:
        try:
            place.create_all({**files, "run.json": b"%d" % number})
        except StorageError as error:
            assert "name another place" in str(error)
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as threads:
        made = list(threads.map(make, range(WRITERS)))
    assert made.count(True) == 1
    assert list(place.list_files("")) == [*files, "run.json"]
    assert place.read("run.json") == b"%d" % made.index(True)


def test_a_parent_that_cannot_be_written_to_is_forked_and_warned_of(
    remote: RunFolder, bucket: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fill(remote)

    def refuse(store: ObjectStore, *_: object) -> None:
        raise StorageError(f"{store.address}: the store refuses access")

    monkeypatch.setattr(ObjectStore, "replace", refuse)
    taken, document = manifests(remote, "rollouts"), {"settings": remote.document["settings"]}
    assert create_fork(remote, ObjectStore.at(f"{bucket}/fork"), document, {}, taken).name == "fork"
    assert "refuses access): keep what it holds" in caplog.text


def test_a_parent_whose_store_is_away_is_not_said_to_be_gone(
    remote: RunFolder, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(remote)
    document = {"settings": remote.document["settings"]}
    fork = create_fork(remote, ObjectStore.at(f"{bucket}/fork"), document, {}, manifests(remote, "rollouts"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(requests, "RETRIES", 0)
    with pytest.raises(StorageError, match=r"run: http://127\.0\.0\.1:9 can't be used"):
        fork.home(next(iter(fork.lineage["homes"])))


BAD_ADDRESSES = {
    "s3://": "is no place for a run; name a bucket and a prefix",
    "s3://bucket": "is no place for a run; name a bucket and a prefix",
    "s3://no-such-bucket/run": "has no bucket no-such-bucket: make it, or correct the address",
    "{bucket}/elsewhere": "is not a run: it has no run.json",
    "gs://bucket/run": "gs://bucket/run: is no place for a run; name a folder, or s3://BUCKET/PREFIX",
    "S3://bucket/run": "S3://bucket/run: is no place for a run; name a folder, or s3://BUCKET/PREFIX",
    "s3:/bucket/run": "s3:/bucket/run: is no place for a run; name a folder, or s3://BUCKET/PREFIX",
}


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_what_is_no_run_is_said_in_one_line(bucket: str, address: str) -> None:
    with pytest.raises(StorageError, match=BAD_ADDRESSES[address]) as caught:
        RunFolder.open(address.format(bucket=bucket))
    assert "\n" not in str(caught.value)


def test_a_bucket_that_is_not_there_is_not_made(bucket: str) -> None:
    with pytest.raises(StorageError, match="has no bucket no-such-bucket"):
        RunFolder.create("s3://no-such-bucket/run", {"settings": {}})


def test_without_credentials_it_is_said_what_to_set(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(StorageError, match="no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        RunFolder.open(f"{bucket}/other")


@pytest.mark.parametrize(
    "endpoint", ["127.0.0.1:9", "nonsense", "http://", "http://host:port", "ftp://host", "http://a b"]
)
def test_an_endpoint_that_is_none_is_said_in_one_line(
    bucket: str, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    with pytest.raises(StorageError, match=r"is no endpoint; set store\.endpoint or AWS_ENDPOINT_URL to http"):
        ObjectStore.at(f"{bucket}/run", endpoint).stat("run.json")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(StorageError, match=f"/run: {endpoint} is no endpoint"):
        RunFolder.open(f"{bucket}/run")


def test_where_no_store_answers_the_setting_is_named(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.stores.bucket.RETRIES", 0)
    with pytest.raises(StorageError, match=r"mind that it is up, and store\.endpoint or AWS_ENDPOINT_URL"):
        ObjectStore.at(f"{bucket}/run", "http://127.0.0.1:9").stat("run.json")


def test_without_the_extra_it_is_said_what_to_install(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)
    with pytest.raises(StorageError, match=r"takes the extra s3: pip install 'mopd\[s3\]'"):
        RunFolder.open(f"{bucket}/another")


def test_run_json_that_another_process_changed_is_not_written_over(run: RunFolder, remote: RunFolder) -> None:
    for one in (run, remote):
        extended = replace(one, document={**one.document, "extended": [1]})
        extended.save(one)
        assert RunFolder.open(one.store) == extended
        with pytest.raises(StorageError, match=r"run\.json: another process changed it meanwhile; try again"):
            replace(one, document={**one.document, "extended": [2]}).save(one)
        assert RunFolder.open(one.store) == extended
