"""Promises: rows whose key is there twice, or that nothing stands behind, are found by their shard, in any store."""

from __future__ import annotations

from storage.fit import check_rows, find_outdated
from storage.integrity import BadFile
from storage.manifests import manifest_name
from storage.runs import RunFolder
from storage.shards import Manifest, commit_shard
from tests.storage.storage_samples import Rows, commit, fill, key_of, make_rows


def made_from(run: RunFolder, table: str, rows: Rows, *parents: Manifest) -> Manifest:
    """A shard of the round that names its parents."""
    named = [parent.as_parent for parent in parents]
    return commit_shard(run, table, round=0, shard=1, key=key_of(table, 1), rows=rows, parents=named, info={})


def bad(run: RunFolder, made: Manifest, reason: str) -> BadFile:
    return BadFile(made.file, reason, manifest_name(run, made.table, 0, made.shard, made.key))


def test_rows_that_fit(run: RunFolder) -> None:
    fill(run)
    assert list(check_rows(run)) == []
    assert find_outdated(run)[0] == []


def test_a_key_that_two_shards_have(run: RunFolder) -> None:
    first = commit(run, "prompts", make_rows("prompts", run.run_id))
    second = commit(run, "prompts", make_rows("prompts", run.run_id, prompts=("b", "c")), shard=1)
    found = list(check_rows(run))
    assert found == [bad(run, made, "1 rows whose key is there twice") for made in (first, second)]
    assert [one.aside for one in found] == [bad(run, made, "").aside for made in (first, second)]


def test_in_a_bucket(remote: RunFolder) -> None:
    test_a_key_that_two_shards_have(remote)
    commit(remote, "verdicts", make_rows("verdicts", remote.run_id))
    rollouts = commit(remote, "rollouts", make_rows("rollouts", remote.run_id, prompts=("a",)))
    verdicts = made_from(remote, "verdicts", make_rows("verdicts", remote.run_id, prompts=("c",)), rollouts)
    assert bad(remote, verdicts, "2 rows that have none in rollouts") in list(check_rows(remote))


def test_rows_of_two_names_are_told_apart(run: RunFolder) -> None:
    rows = make_rows("contexts", run.run_id)
    commit(run, "contexts", rows)
    commit(run, "contexts", rows, name="positive")
    assert list(check_rows(run)) == []


def test_rows_that_nothing_stands_behind(run: RunFolder) -> None:
    rollouts = commit(run, "rollouts", make_rows("rollouts", run.run_id))
    rows = make_rows("verdicts", run.run_id, prompts=("a", "c"))
    verdicts = made_from(run, "verdicts", rows, rollouts)
    assert list(check_rows(run)) == [bad(run, verdicts, "2 rows that have none in rollouts")]
    assert list(check_rows(run, damaged=["rollouts/round=0000"])) == []


def test_no_shard_is_blamed_for_one_that_is_missing(run: RunFolder) -> None:
    rollouts = commit(run, "rollouts", make_rows("rollouts", run.run_id))
    made_from(run, "verdicts", make_rows("verdicts", run.run_id), rollouts)
    run.store.remove(rollouts.file)
    assert list(check_rows(run)) == []


def test_a_shard_with_fewer_rows_than_it_was_made_from(run: RunFolder) -> None:
    rollouts = commit(run, "rollouts", make_rows("rollouts", run.run_id))
    verdicts = made_from(run, "verdicts", make_rows("verdicts", run.run_id)[:3], rollouts)
    assert list(check_rows(run)) == [bad(run, verdicts, "has 3 rows, made from 4 of rollouts")]


def test_a_shard_whose_parent_has_another_content(run: RunFolder) -> None:
    rollouts = commit(run, "rollouts", make_rows("rollouts", run.run_id))
    verdicts = made_from(run, "verdicts", make_rows("verdicts", run.run_id), rollouts)
    run.store.remove(manifest_name(run, "rollouts", 0, 0, rollouts.key))
    commit(run, "rollouts", make_rows("rollouts", run.run_id, prompts=("a", "c")))
    assert find_outdated(run) == ([verdicts], {rollouts.key})
