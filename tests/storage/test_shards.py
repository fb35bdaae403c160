"""Promises: the first committer wins, damage is never used silently, a failed commit leaves nothing."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage import shards
from storage.errors import StorageError, with_mending
from storage.index import Listing
from storage.lookup import collected_problems, scan
from storage.runs import RunFolder
from storage.shards import (
    BadFile,
    Manifest,
    commit_folder,
    commit_shard,
    find_manifest,
    manifests,
    read_rows,
    remove_trainer_state,
    shard_key,
    verify_run,
)
from storage.stores import files
from storage.stores.base import Store
from tests.storage.storage_samples import commit, commit_policy, fill, key_of, make_rows, write_weights

ROOT = Path(__file__).parents[2]


def leftovers(run: RunFolder) -> list[str]:
    return [path.name for path in (run.path / "_tmp").iterdir() if path.name not in files.LOCKS]


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)


def test_a_key_names_everything_that_decides_the_content() -> None:
    settings = {"b": 1, "a": {"c": [1, 2.5]}}
    key = partial(shard_key, version=1, settings=settings, model="m", inputs=["x"], seed=1, shard=0)
    others = [
        key("score"),
        key("generate", version=2),
        key("generate", settings={"b": 2}),
        key("generate", model="n"),
        key("generate", inputs=["x", "y"]),
        key("generate", seed=2),
        key("generate", shard=1),
    ]
    assert len({key("generate"), *others}) == 8
    assert key("generate") == key("generate", settings={"a": {"c": (1, 2.5)}, "b": 1})


def test_a_manifest_describes_its_shard(run: RunFolder) -> None:
    key = key_of("described")
    committed = commit_shard(
        run,
        "rollouts",
        round=0,
        shard=3,
        key=key,
        rows=make_rows("rollouts", run.run_id),
        parents=["p"],
        info={"tokens": np.int64(7), "rate": float("nan")},
    )
    assert (committed.rows, committed.parents, committed.info) == (4, ["p"], {"tokens": 7, "rate": None})
    assert committed.file == f"rollouts/round=0000/shard-00003-{committed.sha256[:12]}.parquet"
    beside = run.path / "rollouts" / "round=0000" / f"shard-00003-{key[:12]}.json"
    assert json.loads(beside.read_text())["sha256"] == committed.sha256
    assert find_manifest(run, "rollouts", 0, 3, key) == committed
    assert find_manifest(run, "rollouts", 0, 3, key_of("other")) is None
    assert leftovers(run) == []


def test_the_first_committer_wins(run: RunFolder) -> None:
    def attempt(reward: int) -> Manifest:
        rows = [{**row, "reward": float(reward)} for row in make_rows("verdicts", run.run_id)]
        return commit(run, "verdicts", rows)

    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(attempt, range(8)))
    assert all(manifest == seen[0] for manifest in seen)
    assert len(list((run.path / "verdicts" / "round=0000").iterdir())) == 2
    assert leftovers(run) == []


def test_a_shard_made_from_other_parents_gives_way(run: RunFolder) -> None:
    place: dict[str, Any] = {"round": 0, "shard": 0, "key": key_of("one"), "info": {}}
    rows = make_rows("verdicts", run.run_id)
    commit_shard(run, "verdicts", **place, rows=rows, parents=["p:1"])
    newer = commit_shard(run, "verdicts", **place, rows=[{**row, "reward": 0.0} for row in rows], parents=["p:2"])
    assert commit_shard(run, "verdicts", **place, rows=rows, parents=["p:2"]) == newer
    assert manifests(run, "verdicts") == [newer]
    assert newer.parents == ["p:2"]


def test_timings_are_no_content(run: RunFolder) -> None:
    rows = make_rows("verdicts", run.run_id)
    first = commit(run, "verdicts", rows)
    later = commit(run, "verdicts", [{**row, "seconds": 9.0} for row in rows], shard=1)
    other = commit(run, "verdicts", [{**row, "reward": 0.0} for row in rows], shard=2)
    assert first.content == later.content != other.content
    assert first.sha256 != later.sha256


def test_of_two_versions_of_a_shard_the_newer_is_current(run: RunFolder) -> None:
    rows = make_rows("verdicts", run.run_id)
    commit(run, "verdicts", rows, key=key_of("old"))
    commit(run, "verdicts", make_rows("verdicts", run.run_id), shard=1)
    newer = commit(run, "verdicts", [{**row, "reward": 0.0} for row in rows], key=key_of("new"))
    assert [manifest.shard for manifest in manifests(run, "verdicts")] == [0, 1]
    assert manifests(run, "verdicts", round=0)[0] == newer
    assert manifests(run, "verdicts", round=1) == []


def test_the_newer_version_is_current_though_the_clock_was_set_back(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = make_rows("verdicts", run.run_id)
    for shard in (0, 1, 10):
        commit(run, "verdicts", rows, shard=shard, key=key_of("old", shard))
    run.store.replace("verdicts/round=0000/shard-00000-0123456789ab.json", b"damaged")
    monkeypatch.setattr(shards, "_now", lambda: "2000-01-01T00:00:00.000000+00:00")
    newer = commit(run, "verdicts", [{**row, "reward": 0.0} for row in rows], key=key_of("new"))
    alone = commit(run, "verdicts", rows, shard=2)
    assert manifests(run, "verdicts")[0] == newer
    assert alone.created.startswith("2000")


@pytest.mark.parametrize("damage", ["truncated", "empty", "missing", "manifest"])
def test_a_damaged_shard_is_loud_and_made_again(run: RunFolder, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    rows = make_rows("rollouts", run.run_id)
    first = commit(run, "rollouts", rows)
    path = run.path / first.file
    if damage == "missing":
        path.unlink()
    elif damage == "manifest":
        next(path.parent.glob("*.json")).write_text('{"table":')
    else:
        os.truncate(path, 0 if damage == "empty" else first.bytes - 8)
    with caplog.at_level(logging.WARNING):
        assert find_manifest(run, "rollouts", 0, 0, first.key) is None
        assert manifests(run, "rollouts") == []
    assert "shard-00000" in caplog.text
    assert len(verify_run(run)) == 1
    again = commit(run, "rollouts", rows)
    assert again.sha256 == first.sha256
    assert find_manifest(run, "rollouts", 0, 0, first.key) == again
    assert verify_run(run) == []


@pytest.mark.parametrize(
    ("part", "value"),
    [("files", 3), ("file", None), ("parents", None), ("info", None), ("rows", "4"), ("round", True), ("home", [])],
)
def test_a_manifest_that_says_something_else_is_loud(
    run: RunFolder, part: str, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = commit(run, "rollouts", make_rows("rollouts", run.run_id))
    path = next((run.path / manifest.file).parent.glob("*.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), part: value}))
    assert manifests(run, "rollouts") == []
    assert f"is damaged (no manifest: {part} is no " in caplog.text
    assert len(verify_run(run)) == 1
    assert commit(run, "rollouts", make_rows("rollouts", run.run_id)) == manifests(run, "rollouts")[0]


def test_a_manifest_of_another_run_names_where_it_looked(run: RunFolder) -> None:
    manifest = commit(run, "rollouts", make_rows("rollouts", run.run_id))
    path = next((run.path / manifest.file).parent.glob("*.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "home": "elsewhere"}))
    with pytest.raises(StorageError, match=r"the run elsewhere, which lineage\.homes in .*run\.json does not know"):
        manifests(run, "rollouts")


def test_a_flipped_byte_is_found_by_reading_and_by_verify(run: RunFolder) -> None:
    fill(run)
    (bad,) = manifests(run, "scores")
    flip_a_byte(run.path / bad.file)
    with pytest.raises(StorageError, match="is damaged"):
        read_rows(run, bad)
    assert [found.file for found in verify_run(run)] == [bad.file]


def test_what_was_cut_short_is_said_without_a_library_s_words(run: RunFolder) -> None:
    fill(run)
    scores, verdicts = manifests(run, "scores")[0], manifests(run, "verdicts")[0]
    os.truncate(run.path / scores.file, 10)
    os.truncate(run.path / verdicts.name_in(run), 10)
    assert scan(run, "verdicts")[1] == [
        with_mending(run.address, f"{verdicts.name_in(run)} is damaged (no JSON, or cut short)")
    ]
    assert sorted(map(str, verify_run(run))) == [
        f"{scores.file}: has 10 bytes instead of {scores.bytes}",
        f"{verdicts.name_in(run)}: damaged manifest (no JSON, or cut short)",
    ]


def test_reading_an_unknown_column_names_it(run: RunFolder) -> None:
    manifest = commit(run, "updates", make_rows("updates", run.run_id))
    with pytest.raises(StorageError, match=r"updates has no columns \['los'\]"):
        read_rows(run, manifest, ["loss", "los"])


def test_a_policy_folder_is_committed_whole(run: RunFolder) -> None:
    manifest = commit_policy(run)
    assert manifest.file == "policies/round=0000"
    assert set(manifest.files) == {"model.safetensors", "config.json", "trainer/optimizer.pt"}
    assert (run.path / run.policy_place(0) / "model.safetensors").read_bytes() == b"weights"
    assert find_manifest(run, "policies", 0, 0, key_of(0)) == manifest
    assert commit_policy(run, weights=b"of a late comer") == manifest
    assert (run.path / run.policy_place(0) / "model.safetensors").read_bytes() == b"weights"
    assert leftovers(run) == []


def test_a_policy_folder_that_no_manifest_names_is_replaced(run: RunFolder) -> None:
    (run.path / run.policy_place(0)).mkdir(parents=True)
    (run.path / run.policy_place(0) / "half.safetensors").write_bytes(b"half")
    commit_policy(run)
    assert not (run.path / run.policy_place(0) / "half.safetensors").exists()


def test_a_damaged_policy_is_loud_and_replaced(run: RunFolder, caplog: pytest.LogCaptureFixture) -> None:
    commit_policy(run, key=key_of("old"))
    (run.path / run.policy_place(0) / "model.safetensors").write_bytes(b"")
    assert find_manifest(run, "policies", 0, 0, key_of("old")) is None
    assert "has 0 bytes instead of 7: mopd run makes it again where it is needed" in caplog.text
    with collected_problems() as problems:
        assert find_manifest(run, "policies", 0, 0, key_of("old")) is None
    assert problems == [with_mending(run.address, f"{run.policy_place(0)}/model.safetensors has 0 bytes instead of 7")]
    commit_policy(run, key=key_of("new"))
    assert [manifest.key for manifest in manifests(run, "policies")] == [key_of("new")]
    assert verify_run(run) == []


def test_a_committed_policy_is_never_overwritten(run: RunFolder) -> None:
    commit_policy(run)
    with pytest.raises(StorageError, match="never overwritten"):
        commit_policy(run, key=key_of("other"), weights=b"others!")
    assert (run.path / run.policy_place(0) / "model.safetensors").read_bytes() == b"weights"
    assert leftovers(run) == []


def test_trainer_state_may_go_but_weights_may_not(run: RunFolder) -> None:
    manifest = commit_policy(run)
    remove_trainer_state(run, 0)
    assert not (run.path / run.policy_place(0) / "trainer").exists()
    assert find_manifest(run, "policies", 0, 0, key_of(0)) == manifest
    assert verify_run(run) == []
    (run.path / run.policy_place(0) / "config.json").unlink()
    assert verify_run(run) == [BadFile("policies/round=0000/config.json", "missing")]


def test_a_write_that_fails_leaves_no_policy(run: RunFolder) -> None:
    def write(folder: Path) -> None:
        write_weights(folder)
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        commit_folder(run, round=0, key=key_of(0), parents=[], info={}, write=write)
    assert manifests(run, "policies") == []
    assert not (run.path / run.policy_place(0)).exists()
    assert leftovers(run) == []


FULL_DISK = """
import resource, sys
from storage.runs import RunFolder
from tests.storage.storage_samples import commit, make_rows
run = RunFolder.open(sys.argv[1])
rows = make_rows("rollouts", run.run_id, samples=300)
resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
try:
    commit(run, "rollouts", rows)
except OSError as error:
    print(error)
"""


def test_a_full_disk_is_named_and_leaves_nothing(run: RunFolder) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", FULL_DISK, str(run.path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert str(run.path) in done.stdout
    assert "File too large" in done.stdout
    assert manifests(run, "rollouts") == []
    assert leftovers(run) == []


LOOKS: dict[str, Callable[[RunFolder, Manifest], list[Any]]] = {
    "one": lambda run, made: [found for found in [find_manifest(run, made.table, 0, 0, made.key)] if found],
    "all": lambda run, made: manifests(run, made.table),
    "bad files": lambda run, made: list(verify_run(run)),
}


@pytest.mark.parametrize("look", LOOKS)
def test_a_manifest_that_goes_while_it_is_looked_at_is_not_there(
    run: RunFolder, look: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = commit(run, "prompts", make_rows("prompts", run.run_id))
    read = Manifest.read

    def read_too_late(place: Store | Listing, name: str) -> Manifest:
        run.store.remove(name)
        return read(place, name)

    monkeypatch.setattr(Manifest, "read", read_too_late)
    assert (LOOKS[look](run, made), caplog.text) == ([], "")


@pytest.mark.parametrize("look", ["one", "all"])
def test_a_manifest_that_is_replaced_while_it_is_looked_at_is_the_new_one(
    run: RunFolder, look: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    new = commit(run, "prompts", make_rows("prompts", run.run_id))
    answers = [replace(new, file="prompts/round=0000/shard-00000-gone.parquet"), new]
    monkeypatch.setattr(Manifest, "read", lambda *_: answers.pop(0))
    assert (LOOKS[look](run, new), caplog.text) == ([new], "")
