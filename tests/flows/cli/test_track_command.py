"""`mopd track`: a run that has ended is sent afterwards, and what can't be is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.cli import main
from flows.cli.actions import track
from flows.folder.open import hold_run
from storage.errors import StorageError
from storage.runs import RunFolder
from tests.flows.plan.test_plan import run_of
from tests.flows.trackers import sending_jobs as jobs


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return run_of(tmp_path / "run")[0]


def answers(monkeypatch: pytest.MonkeyPatch, *results: int | Exception) -> list[str]:
    """What the trackers say, one after the other; the list gets their names."""
    asked: list[str] = []

    def send(job: object, store: object, name: str, *, silence_seconds: float) -> int:
        result = results[len(asked)]
        asked.append(name)
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(track, "in_own_process", send)
    return asked


def test_each_is_sent_what_it_lacks(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = answers(monkeypatch, 9, 0)
    assert main(["track", run.address, "--to", "wandb,mlflow,wandb"]) == 0
    assert asked == ["wandb", "mlflow"]
    assert capsys.readouterr().out == "wandb: 9 parts sent\nmlflow: has it all\n"


def test_the_runs_own_are_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(tmp_path / "run", {"report.trackers": ["trackio"]})[0]
    asked = answers(monkeypatch, 1)
    assert main(["track", run.address]) == 0
    assert asked == ["trackio"]


def test_one_that_is_away_does_not_keep_the_others_from_it(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = answers(monkeypatch, ConnectionError("refused"), 3)
    assert main(["track", run.address, "--to", "wandb,mlflow"]) == 1
    assert asked == ["wandb", "mlflow"]
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("mlflow: 3 parts sent\n", "mopd: tracker wandb: ConnectionError: refused\n")


def test_one_that_hangs_is_given_up(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(track, "send_missing", jobs.hang)
    monkeypatch.setattr(track, "SILENCE_SECONDS", 1.0)
    assert main(["track", run.address, "--to", "tensorboard"]) == 1
    assert capsys.readouterr().err == "mopd: tracker tensorboard: its process ended, or did nothing for 60 s\n"


def test_bad_input_is_one_line(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    choice = "tensorboard, wandb, trackio, mlflow"
    assert main(["track", run.address]) == 2
    assert main(["track", run.address, "--to", "comet"]) == 2
    answers(monkeypatch, StorageError("trackers/wandb.json is damaged"))
    assert main(["track", run.address, "--to", "wandb"]) == 2
    with hold_run(run):
        assert main(["track", run.address, "--to", "wandb"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == [
        f"mopd: {run.address}: report.trackers names none; say --to with some of {choice}",
        f"mopd: --to comet: is no tracker; choose of {choice}",
        "mopd: trackers/wandb.json is damaged",
    ]
    assert "is being run by" in lines[3] and len(lines) == 4
