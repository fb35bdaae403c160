"""A tracker that raises, hangs or dies costs a run one line; it is tried again, and never waited for for long."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from flows.runtime.exit_code import RunStopped
from flows.trackers import beside
from flows.trackers.beside import Senders, failure_text, tracking
from storage.runs import RunFolder
from tests.flows.trackers import sending_jobs as jobs

TRACKED = ("mlflow", "wandb")
SILENCE = 3.0


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {"settings": {}})


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "SILENCE_SECONDS", SILENCE)
    monkeypatch.setattr(beside, "END_SECONDS", 120.0)


def times_sent(run: RunFolder, name: str = "wandb") -> int:
    file = run.path / f"sent-{name}"
    return len(file.read_text().splitlines()) if file.exists() else 0


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("job", "line"),
    [
        (jobs.fail, "ConnectionError: the server is away"),
        (jobs.hang, "its process ended, or did nothing for 3 s"),
        (jobs.die, "its process ended, or did nothing for 3 s"),
    ],
)
def test_what_goes_wrong_is_one_line_and_tried_again(
    run: RunFolder, said: list[str], monkeypatch: pytest.MonkeyPatch, job: Any, line: str
) -> None:
    monkeypatch.setattr(beside, "send_missing", job)
    with tracking(run, ["wandb", "mlflow"], said.append) as senders:
        senders.send()
        wait_for(lambda: len(said) == 2)
        again = f"what it lacks is sent after the next round, or by mopd track {run.address} --to"
        assert sorted(said) == [f"tracker {name}: {line}; {again} {name}" for name in TRACKED]
        monkeypatch.setattr(beside, "send_missing", jobs.send)
    assert [times_sent(run, name) for name in TRACKED] == [2, 2]
    assert len(said) == 2


def test_nobody_waits_while_a_round_goes_on(run: RunFolder, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "SILENCE_SECONDS", 600.0)
    monkeypatch.setattr(beside, "END_SECONDS", 0.2)
    monkeypatch.setattr(beside, "send_missing", jobs.hang)
    senders = Senders(run, ["wandb"], said.append)
    for _ in range(3):
        senders.send()
    wait_for(lambda: times_sent(run) == 1)
    senders.close()
    assert times_sent(run) == 1, "what waits behind it is given up with it"
    assert [line.partition("; ")[0] for line in said] == [
        "tracker wandb: the run has ended, and it has not all after 0 s"
    ]


def test_a_signal_while_a_run_that_has_ended_waits_ends_the_trackers_process(
    run: RunFolder, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        wait_for(lambda: times_sent(run) == 1)
        raise KeyboardInterrupt

    monkeypatch.setattr(beside, "SILENCE_SECONDS", 600.0)
    monkeypatch.setattr(beside, "send_missing", jobs.hang)
    monkeypatch.setattr(beside, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt), tracking(run, ["wandb"], said.append):
        pass
    process = Path("/proc", (run.path / "sent-wandb").read_text().strip())
    wait_for(lambda: not process.exists())
    assert said == []


def test_what_came_while_it_was_sent_is_sent_too(
    run: RunFolder, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "send_missing", jobs.send)
    with tracking(run, ["wandb", "wandb"], said.append):
        pass
    assert times_sent(run) == 1, "the end of a run is told, and a tracker that is named twice is told once"


@pytest.mark.parametrize(("error", "sent"), [(RunStopped("entropy"), 1), (KeyboardInterrupt(), 0)])
def test_a_run_that_a_guard_ended_is_told_to_its_end(
    run: RunFolder, said: list[str], monkeypatch: pytest.MonkeyPatch, error: BaseException, sent: int
) -> None:
    monkeypatch.setattr(beside, "send_missing", jobs.send)
    with pytest.raises(type(error)), tracking(run, ["wandb"], said.append):
        raise error
    assert times_sent(run) == sent


def test_its_line_stands_in_the_log_of_the_flow(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is found by a variable of the context that a thread of its own would not have."""
    flow_run: ContextVar[str] = ContextVar("flow_run", default="none")
    flow_run.set("mine")
    said: list[str] = []
    monkeypatch.setattr(beside, "send_missing", jobs.fail)
    with tracking(run, ["wandb"], lambda line: said.append(flow_run.get())):
        pass
    assert said == ["mine"]


def test_no_tracker_costs_nothing(run: RunFolder, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "Worker", None)
    with tracking(run, [], said.append) as senders:
        senders.send()
    assert said == []


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError(), "ValueError"),
        (ValueError("\n  no key\nmore"), "ValueError: no key"),
        (ValueError("x" * 300), f"ValueError: {'x' * 200}"),
    ],
)
def test_an_error_is_one_line(error: Exception, text: str) -> None:
    assert failure_text(error) == text
