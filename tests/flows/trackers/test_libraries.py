"""Each tracker by its own library, on this machine: what was sent is read back from it, in part, again, and twice."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from flows.runtime.messages import silent
from flows.trackers import send
from flows.trackers.content.chapters import outlines
from flows.trackers.notes import Notes
from flows.trackers.send import send_missing
from flows.trackers.tracker import Chapter
from mopd.settings.report import TrackerName
from storage.runs import RunFolder
from tests.flows.trackers.test_send import first

NAMES = get_args(TrackerName)
Curves = dict[str, list[tuple[int, float]]]
"""By name, steps and values, in the order in which the tracker has them."""


def expected(told: list[Chapter]) -> Curves:
    """What a run has to tell."""
    curves: Curves = {}
    for chapter in told:
        for point in chapter.points:
            for name, value in point.values.items():
                curves.setdefault(name, []).append((point.step, value))
    return curves


def read_tensorboard(run: RunFolder, offline: Path) -> tuple[Curves, list[str]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(run.path / "trackers" / "tensorboard" / run.name))
    accumulator.Reload()
    curves = {
        tag: [(event.step, event.value) for event in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]
    }
    texts = [event.tensor_proto.string_val[0].decode() for event in accumulator.Tensors("completions/text_summary")]
    return curves, texts


def wandb_folders(run: RunFolder, offline: Path) -> list[Path]:
    """One for each time that something was sent."""
    return sorted(offline.glob(f"wandb/offline-run-*-{Notes.read(run, 'wandb').runs[0].id}"))


def wandb_rows(folders: list[Path]) -> list[dict[str, Any]]:
    """Of the history, as they were sent."""
    from tests.flows.trackers.wandb_files import read_history

    return [row for folder in folders for file in folder.glob("run-*.wandb") for row in read_history(file)]


def numbers(row: dict[str, Any]) -> dict[str, Any]:
    """Its values that are no columns of W&B's own."""
    return {name: value for name, value in row.items() if "/" in name}


def read_wandb(run: RunFolder, offline: Path) -> tuple[Curves, list[str]]:
    """As its makers say of the server: of rows with the same number it keeps one. They are equal here."""
    folders, rows = wandb_folders(run, offline), dict[int, dict[str, Any]]()
    for row in wandb_rows(folders):
        assert numbers(rows.setdefault(row["_step"], row)) == numbers(row)
    assert list(rows) == list(range(Notes.read(run, "wandb").runs[0].num_rows))
    curves: Curves = {}
    for row in rows.values():
        for name in (name for name in row if "/" in name):
            curves.setdefault(name, []).append((row["update" if name.startswith("update/") else "round"], row[name]))
    files = {file.name: file for folder in folders for file in folder.glob("files/media/table/*.json")}
    tables = sorted(files, key=lambda file: int(file.split("_")[1]))
    return curves, [files[name].read_text() for name in tables]


def read_trackio(run: RunFolder, offline: Path) -> tuple[Curves, list[str]]:
    from trackio import Api, SQLiteStorage

    (mine,) = [known for known in Api().runs("mopd") if known.name.endswith(Notes.read(run, "trackio").runs[0].id[:6])]
    assert (mine.config or {})["generate.num_samples"] == 4
    curves: Curves = {}
    tables = []
    for entry in SQLiteStorage.get_logs("mopd", mine.name):
        for name, value in entry.items():
            if name == "completions":
                tables.append(json.dumps(value))
            elif name not in ("step", "timestamp"):
                curves.setdefault(name, []).append((entry["step"], value))
    return curves, tables


def read_mlflow(run: RunFolder, offline: Path) -> tuple[Curves, list[str]]:
    import mlflow

    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("mopd")
    assert experiment is not None
    id = Notes.read(run, "mlflow").runs[0].id
    (mine,) = client.search_runs([experiment.experiment_id], f"tags.mopd_id = '{id}'")
    assert mine.data.params["generate.num_samples"] == "4"
    assert mine.info.status == "FINISHED"
    history = {name: client.get_metric_history(mine.info.run_id, name) for name in mine.data.metrics}
    curves = {name: [(metric.step, metric.value) for metric in metrics] for name, metrics in history.items()}
    files = [file.path for file in client.list_artifacts(mine.info.run_id, "completions")]
    return curves, [Path(client.download_artifacts(mine.info.run_id, file, str(offline))).read_text() for file in files]


READERS = {"tensorboard": read_tensorboard, "wandb": read_wandb, "trackio": read_trackio, "mlflow": read_mlflow}


@pytest.fixture(autouse=True)
def own_folder(offline: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Artifacts lie below the working directory, where nothing says otherwise."""
    monkeypatch.chdir(offline)
    yield


def check(run: RunFolder, offline: Path, name: TrackerName) -> None:
    """The tracker has what the run has to tell, each point once."""
    curves, tables = READERS[name](run, offline)
    told = [outline.read() for outline in outlines(run)]
    wanted = expected(told)
    assert curves.keys() == wanted.keys()
    for curve, points in wanted.items():
        assert Counter(step for step, _ in curves[curve]) == Counter(step for step, _ in points), curve
        assert dict(curves[curve]) == pytest.approx(dict(points), rel=1e-6), curve
    sent = [chapter.completions for chapter in told if chapter.completions]
    assert len(tables) == len(sent) == 2
    for rows, table in zip(sent, tables):
        assert all(row["prompt_id"] in table for row in rows)


@pytest.mark.parametrize("name", NAMES)
def test_a_tracked_run_is_gone_on_with(
    run: RunFolder, offline: Path, name: TrackerName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "CHAPTERS_AT_ONCE", 2)  # each part within the second of the one before it
    with monkeypatch.context() as patch:
        first(4, patch)
        send_missing(None, silent, run.store, name)
    send_missing(None, silent, run.store, name)
    check(run, offline, name)
    if name == "wandb":
        steps = [row["_step"] for row in wandb_rows(wandb_folders(run, offline))]
        assert steps == list(range(len(steps))), "no row twice"


@pytest.mark.parametrize("name", NAMES)
def test_what_was_sent_and_not_noted_is_there_once(
    run: RunFolder, offline: Path, name: TrackerName, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Notes, "save", lambda *_: None)  # as if the process were killed here
        send_missing(None, silent, run.store, name)
    assert Notes.read(run, name).runs == ()
    send_missing(None, silent, run.store, name)
    check(run, offline, name)


def test_a_tensorboard_that_looks_on_sees_what_comes(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(run.path / "trackers" / "tensorboard" / run.name))
    with monkeypatch.context() as patch:
        first(4, patch)
        send_missing(None, silent, run.store, "tensorboard")
    accumulator.Reload()
    assert [event.step for event in accumulator.Scalars("round/pass_rate")] == [0]
    send_missing(None, silent, run.store, "tensorboard")
    accumulator.Reload()
    assert [event.step for event in accumulator.Scalars("round/pass_rate")] == [0, 1]
    assert len(accumulator.Tensors("settings/text_summary")) == 1


def test_wandb_is_told_nothing_of_the_process_that_sends(
    run: RunFolder, offline: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tests.flows.trackers.wandb_files import read_records

    monkeypatch.chdir(tmp_path)
    send_missing(None, silent, run.store, "wandb")
    files = [path for folder in wandb_folders(run, offline) for path in folder.rglob("*") if path.is_file()]
    assert [path.name for path in files if path.name in ("requirements.txt", "wandb-metadata.json")] == []
    (history,) = [path for path in files if path.suffix == ".wandb"]
    assert [record.run.host for record in read_records(history) if record.WhichOneof("record_type") == "run"] == [""]
    content = history.read_bytes()
    assert b"round/pass_rate" in content
    assert [path for path in (sys.executable, str(tmp_path)) if path.encode() in content] == []
