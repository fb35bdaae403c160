"""A flow is launched when its server answers; what is to be checked is checked while that one starts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

import pytest
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, get_current_settings, temporary_settings

from flows.runtime.console import Console
from flows.runtime.launch import command_session, launch
from flows.runtime.server.patience import TEMPORARY
from mopd.errors import InputError


class SlowServer:
    """Notes when it is waited for."""

    def __init__(self, log: list[str]) -> None:
        self._log = log

    def wait(self) -> None:
        """It answers."""
        self._log.append("answers")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happened, in order."""
    events: list[str] = []

    def start() -> SlowServer:
        events.append("starts")
        return SlowServer(events)

    module = ModuleType("a_flow")
    module.run = lambda **given: events.append(f"runs {given}")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_flow", module)
    monkeypatch.setattr("flows.runtime.server.prefect_server.start_prefect_server", start)
    monkeypatch.setattr("flows.runtime.launch.warm_up", lambda *, engine: events.append(f"warms up {engine}"))
    return events


def raises(error: Exception) -> Callable[[], None]:
    """A function that raises `error`."""

    def check() -> None:
        raise error

    return check


def test_checks_overlap_with_the_start_of_the_server(log: list[str]) -> None:
    launch("a_flow:run", lambda: log.append("checks"), settings=1, run_dir="there")
    assert log == ["warms up False", "starts", "checks", "answers", "runs {'settings': 1, 'run_dir': 'there'}"]


def test_without_checks(log: list[str]) -> None:
    launch("a_flow:run")
    assert log == ["warms up False", "starts", "answers", "runs {}"]


def test_a_failed_check_waits_for_no_server_and_runs_nothing(log: list[str]) -> None:
    with pytest.raises(InputError, match="no such model"):
        launch("a_flow:run", raises(InputError("no such model")))
    assert log == ["warms up False", "starts"]


def test_the_terminal_is_for_one_command() -> None:
    with pytest.raises(InputError), command_session():
        assert Console.terminal is sys.stdout
        raise InputError("bad")
    assert Console.terminal is None


def test_workers_are_told_when_an_engine_will_be_wanted(log: list[str]) -> None:
    launch("a_flow:run", engine=True)
    assert log[0] == "warms up True"


def test_heartbeats_are_for_a_server_that_others_watch(log: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    sys.modules["a_flow"].run = lambda: log.append(f"every {get_current_settings().flows.heartbeat_frequency}")  # type: ignore[attr-defined]
    monkeypatch.delenv(TEMPORARY, raising=False)
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: 30}):
        launch("a_flow:run")
        monkeypatch.setenv(TEMPORARY, "1")
        launch("a_flow:run")
    assert [line for line in log if line.startswith("every")] == ["every 30", "every None"]
