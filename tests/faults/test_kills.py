"""Killed at any moment, whoever is killed: the same command completes the run, and it is what it would have been."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from tests.faults.conftest import Begin
from tests.faults.kills import KILLS, await_trainer, kill_server
from tests.faults.process import Started
from tests.faults.trial import Trial

pytestmark = pytest.mark.timeout(1200)
SERIES = {"run": 5, "family": 4, "worker": 3, "trainer": 2, "server": 3}
"""Kills in one run of each kind."""
NUMBER = math.ceil(int(os.environ.get("MOPD_FAULT_KILLS", "50")) / sum(SERIES.values()))
OWN_SERVER_PATIENCE = "5"


def test_a_run_that_is_struck_in_every_way(begin: Begin) -> None:
    """The core of the suite, in `make test`."""
    trial = begin("kill -9, each once")
    started: Started | None = None
    for kind, moment in zip(("run", "worker", "family"), trial.moments(3), strict=True):
        if started is None or started.ended:
            started = trial.start()
        if moment.come(started, trial.committed):
            trial.strike(started, KILLS[kind])
        if kind != "worker":
            started.wait()
            trial.note_committed()
    trial.complete()


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["run", "family"])
@pytest.mark.parametrize("number", range(NUMBER))
def test_the_run_is_killed(begin: Begin, kind: str, number: int) -> None:
    trial = begin(f"kill -9: {kind}")
    for moment in trial.moments(SERIES[kind]):
        started = trial.start()
        if moment.come(started, trial.committed):
            trial.strike(started, KILLS[kind])
        started.wait()
        trial.note_committed()
    trial.complete()


@pytest.mark.faults
@pytest.mark.parametrize("number", range(NUMBER))
def test_a_worker_is_killed(begin: Begin, number: int) -> None:
    """The run goes on; one that was still checking its inputs says so and ends."""
    trial = begin("kill -9: worker")
    started = trial.start()
    for moment in trial.moments(SERIES["worker"]):
        if started.ended:
            trial.check_said(started.output)
            started = trial.start()
        if moment.come(started, trial.committed):
            trial.strike(started, KILLS["worker"])
    end(trial, started)


@pytest.mark.faults
@pytest.mark.parametrize("number", range(NUMBER))
def test_the_trainer_is_killed(begin: Begin, number: int) -> None:
    """In each round; the run goes on."""
    trial = begin("kill -9: trainer")
    started = trial.start()
    for _ in range(SERIES["trainer"]):
        trainer = await_trainer(started, trial.draw.uniform(0.0, 0.5))
        if trainer is not None:
            trial.strike(started, lambda _, trainer=trainer: trainer.kill())  # type: ignore[misc]
    end(trial, started)


@pytest.mark.faults
@pytest.mark.parametrize("number", range(NUMBER))
def test_its_own_server_is_killed(begin: Begin, number: int, tmp_path: Path) -> None:
    """The run waits for a while, says that the server has gone, and ends."""
    trial = begin("kill -9: Prefect's server")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    trial.env = {**kept, "MOPD_SERVER_PATIENCE": OWN_SERVER_PATIENCE, "MOPD_CACHE": str(tmp_path / "cache")}
    for moment in trial.moments(SERIES["server"]):
        started = trial.start()
        if moment.come(started, trial.committed):
            trial.strike(started, kill_server)
        if started.wait():
            trial.check_said(started.output)
        trial.note_committed()
    trial.complete()


def end(trial: Trial, started: Started) -> None:
    """The run ends by itself, whole or with a line; it is completed."""
    if started.wait():
        trial.check_said(started.output)
    trial.complete()
