"""A run that is redone, brought back, forked, in a bucket: which run it is in a tracker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.folder.replay.fork import fork_run
from flows.folder.replay.rerun import plan_undo, redo
from flows.runtime.messages import silent
from flows.trackers.content.chapters import outlines
from flows.trackers.notes import Notes
from flows.trackers.send import send_missing
from storage.runs import RunFolder
from tests.flows.rounds_by_jobs import inputs, make_run
from tests.object_servers import ENVIRONMENT, moto, new_bucket

TRACKER = "tensorboard"
FASTER = ["train.learning_rate=0.01"]


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("flows.folder.open.inputs_of", lambda settings, *_: inputs(settings))
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
    assert Notes.read(undone, TRACKER).current(undone) == first
    assert send(undone) == 0


def test_a_fork_is_a_run_of_its_own_with_what_it_took_over(bucket: str) -> None:
    run = make_run(f"{bucket}/run", "rounds=2")
    fork = make_run(fork_run(run.address, 1, FASTER, f"{bucket}/fork").address)
    assert send(run) == send(fork) == 7
    (one,), (other,) = (Notes.read(folder, TRACKER).runs for folder in (run, fork))
    assert (one.name, other.name) == ("run", "fork") and one.id != other.id
    assert one.chapters["round 0"] == other.chapters["round 0"]
    assert one.chapters["round 1"] != other.chapters["round 1"]
