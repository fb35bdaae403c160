"""Checkpoints in a run's folder: whole or absent, the newest alone, gone once the policy is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.folder.checkpoints import CHECKPOINTS, RoundCheckpoints
from flows.plan.run import RunPlan
from storage.shards import manifests
from tests.flows.rounds_by_jobs import make_run


def fill(folder: Path) -> None:
    folder.mkdir()
    (folder / "trainer.json").write_text("{}")


def test_the_newest_replaces_the_one_before(tmp_path: Path) -> None:
    checkpoints = RoundCheckpoints(tmp_path, "key")
    assert checkpoints.newest() is None
    for number in (9, 10):
        checkpoints.write(number, fill)
    (folder,) = (tmp_path / CHECKPOINTS / "key").iterdir()
    assert checkpoints.newest() == folder == tmp_path / CHECKPOINTS / "key" / "update-000010"
    assert (folder / "trainer.json").exists()


def test_one_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    checkpoints = RoundCheckpoints(tmp_path, "key")
    checkpoints.write(1, fill)

    def fail(folder: Path) -> None:
        fill(folder)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="update-000002"):
        checkpoints.write(2, fail)
    assert checkpoints.newest() == tmp_path / CHECKPOINTS / "key" / "update-000001"
    assert not list((tmp_path / "_tmp").glob("*.partial"))


@pytest.mark.parametrize("left", [(1,), (1, 2), (2, 3)])
def test_a_round_that_begins_anew_replaces_what_an_earlier_attempt_left(tmp_path: Path, left: tuple[int, ...]) -> None:
    """As where not all ranks see it; two are left where a kill came before the older one was removed."""
    folder = tmp_path / CHECKPOINTS / "key"
    folder.mkdir(parents=True)
    for number in left:
        fill(folder / f"update-{number:06d}")
    RoundCheckpoints(tmp_path, "key").write(1, fill)
    assert [path.name for path in folder.iterdir()] == ["update-000001"]
    assert not list((tmp_path / "_tmp").glob("*.partial"))


def test_other_keys_are_not_gone_on_from_and_go_with_the_rest(tmp_path: Path) -> None:
    RoundCheckpoints(tmp_path, "before").write(1, fill)
    checkpoints = RoundCheckpoints(tmp_path, "key")
    assert checkpoints.newest() is None
    checkpoints.clear()
    assert not (tmp_path / CHECKPOINTS).exists()
    checkpoints.clear()


def test_a_run_with_checkpoints_has_the_policies_of_one_without(tmp_path: Path) -> None:
    updates = ("train.updates_per_round=2",)
    plain = make_run(tmp_path / "plain", *updates)
    kept = make_run(tmp_path / "kept", *updates, "train.checkpoint_every_updates=1")
    assert not (kept.path / CHECKPOINTS).exists()
    digests = [[policy.sha256 for policy in manifests(run, "policies")] for run in (plain, kept)]
    assert len(digests[0]) == len(RunPlan.of(plain).rounds) and digests[0] == digests[1]
    assert [policy.info["ranks"] for policy in manifests(kept, "policies")] == [1, 1, 1]
