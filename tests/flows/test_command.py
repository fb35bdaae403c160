"""What a command makes of a flow whose server has gone: the run's end counts, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.command import launch_to_end
from flows.runtime.exit_code import RunStopped
from flows.runtime.server.patience import PATIENCE, ServerGone
from storage.runs import RunFolder

SILENT = "Prefect's server has not answered for 90 s"


def end(folder: RunFolder, error: Exception, *, has_ended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the flow ends with that error, the server given up."""

    def launch(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("flows.command.launch", launch)
    monkeypatch.setattr(PATIENCE, "given_up", True)
    launch_to_end("flows.run:run_flow", folder.store, lambda: None, lambda _: has_ended)


def test_a_server_that_goes_at_the_end_costs_a_run_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder.create(tmp_path / "run", {"settings": {}})
    end(folder, ServerGone(SILENT), has_ended=True, monkeypatch=monkeypatch)
    with pytest.raises(ServerGone):
        end(folder, ServerGone(SILENT), has_ended=False, monkeypatch=monkeypatch)


def test_a_run_that_a_guard_ended_says_so_without_a_server_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder.create(tmp_path / "run", {"settings": {}})
    with pytest.raises(RunStopped):
        end(folder, RunStopped("stopped at policy 2"), has_ended=True, monkeypatch=monkeypatch)
