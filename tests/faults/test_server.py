"""Prefect's server is killed and comes back, or hears nothing for a while, at any moment."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests.e2e.commands import Commands
from tests.e2e.harness import Prefect
from tests.e2e.server import Server
from tests.faults.conftest import Begin
from tests.faults.process import Started

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]
STRIKES = 3


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that nobody else needs."""
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.mark.parametrize("patience", [60, 3], ids=["waits", "gives up"])
@pytest.mark.parametrize("kind", ["restarted", "stalled"])
def test_a_server_goes_and_comes_back(begin: Begin, server: Server, kind: str, patience: int) -> None:
    """Within the time that a run waits, that costs waiting alone; after it, the run says so and ends."""
    commands = Commands(server.env)
    prefect = Prefect(server.url, server.env, commands)
    trial = begin(f"server {kind}, {patience} s of patience", prefect=prefect)
    trial.env = {**server.env, "MOPD_SERVER_PATIENCE": str(patience)}

    def stall(_: Started) -> None:
        server.signal(signal.SIGSTOP)
        time.sleep(trial.draw.uniform(1.0, 8.0))
        server.signal(signal.SIGCONT)

    def restart(_: Started) -> None:
        server.kill()
        time.sleep(trial.draw.uniform(0.0, 4.0))
        server.start()

    strike = {"stalled": stall, "restarted": restart}[kind]
    started = trial.start()
    for moment in trial.moments(STRIKES):
        if started.ended:
            trial.check_said(started.output)
            started = trial.start()
        if moment.come(started, trial.committed):
            trial.strike(started, strike)
    if started.wait():
        trial.check_said(started.output)
    try:
        trial.complete()
    finally:
        commands.close()
