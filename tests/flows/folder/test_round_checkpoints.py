"""Checkpoints in a run's folder: whole or absent, the newest alone, gone once the policy is there."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from flows.execute.work import commit
from flows.folder.checkpoints import CHECKPOINTS, RoundCheckpoints
from flows.folder.open import run_document
from flows.plan.run import RunPlan
from flows.plan.shard import Shard
from mopd import train
from mopd.settings import load_settings
from mopd.train import take_step
from storage.manifests import manifest_name
from storage.runs import RunFolder
from storage.shards import manifests, read_rows
from tests.flows.rounds_by_jobs import SMALL, TINY, inputs, make_run, make_shards


def fill(folder: Path) -> None:
    folder.mkdir()
    (folder / "trainer.json").write_text("{}")


def test_the_newest_replaces_the_one_before(tmp_path: Path) -> None:
    checkpoints = RoundCheckpoints(tmp_path, "key", ["scores:1"])
    assert checkpoints.newest() is None
    for number in (9, 10):
        checkpoints.write(number, fill)
    (folder,) = (tmp_path / CHECKPOINTS).glob("key-*/*")
    assert checkpoints.newest() == folder
    assert folder.name == "update-000010"
    assert (folder / "trainer.json").exists()


def test_one_that_a_lost_host_writes_beside_is_no_error(tmp_path: Path) -> None:
    checkpoints = RoundCheckpoints(tmp_path, "key", ["scores:1"])
    checkpoints.write(1, fill)

    def fill_late(folder: Path) -> None:
        fill(folder)
        RoundCheckpoints(tmp_path, "key", ["scores:1"]).write(2, fill)

    checkpoints.write(2, fill_late)
    assert [folder.name for folder in (tmp_path / CHECKPOINTS).glob("key-*/*")] == ["update-000002"]


def test_one_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    checkpoints = RoundCheckpoints(tmp_path, "key", ["scores:1"])
    checkpoints.write(1, fill)

    def fail(folder: Path) -> None:
        fill(folder)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="update-000002"):
        checkpoints.write(2, fail)
    assert [folder.name for folder in (tmp_path / CHECKPOINTS).glob("key-*/*")] == ["update-000001"]
    assert not list((tmp_path / "_tmp").glob("*.partial"))


@pytest.mark.parametrize("left", [(1,), (1, 2), (2, 3)])
def test_a_round_that_begins_anew_replaces_what_an_earlier_attempt_left(tmp_path: Path, left: tuple[int, ...]) -> None:
    """As where not all ranks see it; two are left where a kill came before the older one was removed."""
    checkpoints = RoundCheckpoints(tmp_path, "key", ["scores:1"])
    checkpoints.write(left[0], fill)
    (folder,) = (tmp_path / CHECKPOINTS).glob("key-*")
    for number in left[1:]:
        fill(folder / f"update-{number:06d}")
    checkpoints.write(1, fill)
    assert [path.name for path in folder.iterdir()] == ["update-000001"]
    assert not list((tmp_path / "_tmp").glob("*.partial"))


def test_other_keys_and_inputs_are_not_gone_on_from_and_go_with_the_rest(tmp_path: Path) -> None:
    RoundCheckpoints(tmp_path, "before", ["scores:1"]).write(1, fill)
    RoundCheckpoints(tmp_path, "key", ["scores:2"]).write(1, fill)
    checkpoints = RoundCheckpoints(tmp_path, "key", ["scores:1"])
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


def test_scores_that_were_made_anew_are_trained_on_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(TINY, [*SMALL, "train.updates_per_round=2", "train.checkpoint_every_updates=1"])
    run = RunFolder.create(tmp_path / "run", run_document(settings, "tiny", inputs(settings)))
    part = RunPlan.of(run).rounds[0]
    for shards in (part.prompts, part.rollouts, part.verdicts, part.contexts, part.scores):
        make_shards(run, shards)
    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="killed"):
        steps = iter([take_step])
        patched.setattr(train, "take_step", lambda *rest: next(steps, _be_killed)(*rest))
        make_shards(run, [part.policy])
    assert list(run.path.glob(f"{CHECKPOINTS}/*/update-000001"))
    _make_anew(run, part.scores[0])
    other = RunFolder.open(shutil.copytree(run.path, tmp_path / "other", ignore=lambda *_: [CHECKPOINTS]))
    for folder in (run, other):
        make_shards(folder, [part.policy])
    assert manifests(run, "policies")[0].sha256 == manifests(other, "policies")[0].sha256


def _be_killed(*_: object) -> None:
    raise RuntimeError("killed")


def _make_anew(run: RunFolder, scores: Shard) -> None:
    """As after damage, by a device that computes a little otherwise."""
    manifest = manifests(run, "scores")[0]
    rows = [{**row, "teacher_logprobs": row["teacher_logprobs"] - 0.5} for row in read_rows(run, manifest)]
    for row in rows:
        if row["support_teacher_logprobs"] is not None:
            row["support_teacher_logprobs"] = row["support_teacher_logprobs"][:, ::-1].copy()
    run.store.remove(manifest_name(run, "scores", 0, scores.shard, scores.key))
    commit(run, scores, rows, time.monotonic())
