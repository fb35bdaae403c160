"""A run that is redone, brought back, forked, in a bucket: which run it is in a tracker."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.folder.open import open_run, run_document
from flows.folder.replay.fork import fork_run
from flows.folder.replay.rerun import plan_undo, redo
from flows.plan.run import RunPlan
from flows.runtime.messages import silent
from flows.trackers.content.chapters import outlines, planned_sources
from flows.trackers.notes import Notes, SentRun
from flows.trackers.send import send_missing
from mopd.settings import load_settings, parse_settings
from storage.runs import RunFolder
from tests.flows.rounds_by_jobs import SMALL, TINY, inputs, make_round, make_run, make_shards
from tests.object_servers import ENVIRONMENT, moto, new_bucket

TRACKER = "tensorboard"
FASTER = ["train.learning_rate=0.01"]
OTHER_CONTEXTS = "condition.failure_position=first"


@pytest.fixture(autouse=True)
def known_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.folder.open.inputs_of", lambda settings, *_: inputs(settings))


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with moto() as endpoint:
        here = {"AWS_ENDPOINT_URL": endpoint, "MOPD_CACHE": str(tmp_path / "cache")}
        for name, value in {**ENVIRONMENT, **here}.items():
            monkeypatch.setenv(name, value)
        yield f"s3://{new_bucket(endpoint)}/runs"


def send(run: RunFolder) -> int:
    return send_missing(None, silent, run.store, TRACKER)


def event_files(run: RunFolder, name: str) -> list[str]:
    """Without what is the same in all their names."""
    files = run.store.list_files(f"trackers/tensorboard/{name}/")
    return [file.rpartition(".")[2] for file in files]


def test_what_was_redone_is_another_run_there_until_it_is_brought_back(bucket: str) -> None:
    run = make_run(f"{bucket}/run", "rounds=2")
    told = [outline.name.replace(" ", "_") for outline in outlines(run)]
    send(run)
    assert event_files(run, "run") == ["settings", *told]
    redo(run, 1, "train", FASTER)
    redone = make_run(run.address)
    assert send(redone) == len(told)
    assert event_files(redone, "run-2") == ["settings", *told]
    first, second = Notes.read(redone, TRACKER).runs
    same = [name for name in first.chapters if first.chapters[name] == second.chapters[name]]
    assert same == [name.replace("_", " ") for name in told[: told.index("round_1")]]
    undone = plan_undo(redone).save()
    assert send(undone) == 0
    assert current_name(undone) == "run"


def current_name(run: RunFolder) -> str:
    """Of the run in the tracker that is gone on with."""
    return Notes.read(run, TRACKER).current(run, planned_sources(RunPlan.of(run))).name


@pytest.mark.parametrize(
    ("round", "stage", "change"),
    [
        (2, "evaluate", "evaluate.num_samples=2"),
        (1, "condition", "signals.control_groups=1"),
        (1, "verify", "verify.version=later"),
    ],
)
def test_what_leaves_the_policies_as_they_are_is_another_run_too(
    run: RunFolder, round: int, stage: str, change: str
) -> None:
    """An evaluation and a control decide no policy; a version of the verifiers that judges alike changes no content."""
    num_chapters = send(run)
    redone = redo(run, round, stage, [change])
    assert current_name(redone) == "run-2"
    assert send(make_run(redone.address)) == num_chapters
    assert current_name(redone) == "run-2"


def test_what_was_cut_off_and_then_redone_is_another_run(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(SentRun, "with_chapter", lambda *_: 1 / 0)  # the first is written, and nothing is noted
        with pytest.raises(ZeroDivisionError):
            send(run)
    assert current_name(run) == "run"
    assert current_name(redo(run, 1, "train", FASTER)) == "run-2"


def test_of_two_runs_that_are_right_that_which_has_more_is_gone_on_with(run: RunFolder) -> None:
    send(run)
    redone = redo(run, 1, "train", FASTER)
    send(redone)  # and nothing was made anew
    undone = plan_undo(redone).save()
    assert current_name(undone) == "run"
    assert send(undone) == 0


@pytest.mark.parametrize("change", [{"rounds": 3}, {"guards": {"entropy": 0.2}}])
def test_a_run_that_goes_on_is_gone_on_with(run: RunFolder, change: dict[str, Any]) -> None:
    """Though its guards are asked again: of a policy that was the last one, or by other bounds."""
    send(run)
    settings = parse_settings({**RunPlan.of(run).settings.model_dump(mode="json"), **change})
    longer = open_run(settings, run.address, config="tiny")
    assert longer.document["settings"] != run.document["settings"]
    assert current_name(longer) == "run"


@pytest.mark.parametrize(("stage", "change"), [("verify", "verify.version=later"), ("condition", OTHER_CONTEXTS)])
def test_a_round_that_a_guard_ended_before_it_was_trained_on(
    sampled: Path, tmp_path: Path, stage: str, change: str
) -> None:
    shutil.copytree(sampled, tmp_path / "run")
    run = RunFolder.open(tmp_path / "run")
    send(run)
    assert list(Notes.read(run, TRACKER).runs[0].chapters)[-1] == "guards of round 1"
    assert current_name(redo(run, 1, stage, [change])) == "run-2"


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two rounds of which the second is sampled, judged, shown its peers, and asked about."""
    path, settings = tmp_path_factory.mktemp("runs") / "sampled", load_settings(TINY, [*SMALL, "rounds=2"])
    run = RunFolder.create(path, run_document(settings, "tiny", inputs(settings)))
    plan = RunPlan.of(run)
    make_round(run, plan.rounds[0])
    part, guards = plan.rounds[1], [guards.all() for guards in plan.guards[:2]]
    for shards in (part.prompts, part.rollouts, part.verdicts, part.contexts, *guards):
        make_shards(run, shards)
    return path


def test_a_fork_is_a_run_of_its_own_with_what_it_took_over(bucket: str) -> None:
    run = make_run(f"{bucket}/run", "rounds=2")
    fork = make_run(fork_run(run.address, 1, FASTER, f"{bucket}/fork").address)
    assert send(run) == send(fork) == 7
    (one,), (other,) = (Notes.read(folder, TRACKER).runs for folder in (run, fork))
    assert (one.name, other.name) == ("run", "fork") and one.id != other.id
    assert one.chapters["round 0"] == other.chapters["round 0"]
    assert one.chapters["round 1"] != other.chapters["round 1"]


def test_a_copy_is_a_run_of_its_own_and_what_was_moved_is_not(run: RunFolder) -> None:
    num_chapters = send(run)
    (first,) = Notes.read(run, TRACKER).runs
    copy = RunFolder.open(shutil.copytree(run.path, run.path.parent / "copy"))
    assert send(copy) == num_chapters
    (second,) = Notes.read(copy, TRACKER).runs
    assert (first.name, second.name) == ("run", "copy") and first.id != second.id
    assert send(copy) == send(run) == 0
    moved = RunFolder.open(run.path.rename(run.path.parent / "moved"))
    assert Notes.read(moved, TRACKER).runs == (first,)
    assert send(moved) == 0


def test_a_folder_with_two_paths_is_one_run(run: RunFolder) -> None:
    send(run)
    (other := run.path.parent / "other").mkdir()
    for file in run.path.iterdir():
        (other / file.name).symlink_to(file)
    assert send(RunFolder.open(other)) == 0
