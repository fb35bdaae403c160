"""Superseded shards: in no table while run.json says so, whole when it doesn't any more; in each store."""

from __future__ import annotations

from dataclasses import replace

import pytest
from _pytest.fixtures import SubRequest

from storage.digest import digest_tables
from storage.garbage import collect_garbage, remove_trainer_state
from storage.index import MANY
from storage.lookup import find_manifest, manifests, names_of, scan
from storage.manifests import POLICIES
from storage.policies import has_trainer_state
from storage.runs import RunFolder
from storage.shards import Manifest, commit_folder, read_rows, refuse_committed
from storage.sql.catalog import query
from storage.sql.tables import index_round, open_rounds
from tests.storage.storage_samples import commit, fill, key_of, make_rows, write_weights


@pytest.fixture(params=["folder", "bucket"])
def here(request: SubRequest, run: RunFolder, remote: RunFolder) -> RunFolder:
    """An empty run in each store."""
    return run if request.param == "folder" else remote


def saying(run: RunFolder, **document: object) -> RunFolder:
    """The run as it is once its run.json says this too."""
    changed = replace(run, document={**run.document, **document})
    changed.save(run)
    return RunFolder.open(run.store)


def commit_policy(run: RunFolder, key: str, weights: bytes) -> Manifest:
    """A policy of round 0."""
    return commit_folder(
        run, round=0, key=key, parents=[], info={}, write=lambda folder: write_weights(folder, weights)
    )


def test_what_is_superseded_is_in_no_table_and_comes_back(here: RunFolder) -> None:
    fill(here)
    before = digest_tables(here)
    old = manifests(here, "scores")[0]
    redone = saying(here, superseded=[old.key])
    assert (manifests(redone, "scores"), find_manifest(redone, "scores", 0, 0, old.key)) == ([], None)
    assert query(redone, "SELECT count(*) FROM scores").rows == [(0,)]
    assert digest_tables(redone) != before
    new = commit(redone, "scores", make_rows("scores", redone.run_id)[:1], key=key_of("new"))
    assert [one.key for one in manifests(redone, "scores")] == [new.key]
    assert query(redone, "SELECT count(*) FROM scores").rows == [(1,)]
    back = saying(redone, superseded=[new.key])
    assert digest_tables(back) == before
    assert [one.key for one in manifests(back, "scores")] == [old.key]


def test_a_damaged_superseded_shard_is_no_problem(here: RunFolder) -> None:
    old = commit(here, "scores", make_rows("scores", here.run_id))
    here.store.replace(old.file, b"x")
    assert scan(here, "scores")[1]
    assert scan(saying(here, superseded=[old.key]), "scores") == ([], [])


def test_an_index_knows_what_was_superseded(here: RunFolder) -> None:
    for shard in range(MANY + 1):
        commit(here, "verdicts", make_rows("verdicts", here.run_id, prompts=(f"p{shard}",)), shard=shard)
    index_round(here, 0)
    count = "SELECT count(*) FROM verdicts"
    assert (open_rounds(here, "verdicts")[0][0].index is not None, query(here, count).rows) == (True, [(34,)])
    redone = saying(here, superseded=[key_of("verdicts", 0, 3, "")])
    assert query(redone, count).rows == [(32,)]
    index_round(redone, 0)
    assert (open_rounds(redone, "verdicts")[0][0].index is not None, query(redone, count).rows) == (True, [(32,)])
    assert query(saying(redone, superseded=[]), count).rows == [(34,)]


def test_what_was_made_beside_a_run_becomes_its_own(here: RunFolder) -> None:
    for shard in range(MANY):
        commit(here, "scores", make_rows("scores", here.run_id, prompts=(f"p{shard}",)), shard=shard, name="frozen")
    index_round(here, 0)
    keys = [one.key for one in manifests(here, "scores", name="frozen")]
    own = saying(here, renamed=dict.fromkeys(keys, ""))
    count = "SELECT condition, count(*) FROM scores GROUP BY ALL"
    for again in (own, own):
        assert (names_of(again, "scores"), len(manifests(again, "scores"))) == ([], MANY)
        assert query(again, count).rows == [("", 2 * MANY)]
        index_round(again, 0)
    assert query(saying(own, renamed={}), count).rows == [("frozen", 2 * MANY)]


def test_a_round_that_is_redone_has_a_policy_beside_the_superseded_one(here: RunFolder) -> None:
    old = commit_policy(here, key_of("old"), b"old")
    redone = saying(here, superseded=[old.key], lines={"0": 1})
    refuse_committed(redone, 0)
    new = commit_policy(redone, key_of("new"), b"new")
    assert [one.sha256 for one in manifests(redone, POLICIES)] == [new.sha256]
    assert new.file.split("/")[1] == "round=0000-1"
    remove_trainer_state(redone, 0)
    assert not has_trainer_state(redone, new)
    back = saying(redone, superseded=[new.key], lines={})
    assert [one.sha256 for one in manifests(back, POLICIES)] == [old.sha256]
    assert has_trainer_state(back, old)
    assert find_manifest(back, POLICIES, 0, 0, old.key) == old


def test_garbage_collection_keeps_what_is_superseded(here: RunFolder) -> None:
    scores = commit(here, "scores", make_rows("scores", here.run_id))
    policy = commit_policy(here, key_of("old"), b"old")
    redone = saying(here, superseded=[scores.key, policy.key], lines={"0": 1})
    new = commit_policy(redone, key_of("new"), b"new")
    redone.store.replace("policies/round=0000-2/lost/model.safetensors", b"of a killed commit")
    removed = collect_garbage(redone, 0.0)
    assert [name.split("/")[1] for name in removed if name.startswith(POLICIES)] == ["round=0000-2"]
    back = saying(redone, superseded=[new.key], lines={})
    assert len(read_rows(back, scores)) == scores.rows
    assert has_trainer_state(back, policy)
