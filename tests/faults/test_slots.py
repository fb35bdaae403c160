"""A slot of the limit of devices comes free whoever dies: the run, or the server that keeps its leases in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flows.runtime.server.slots import DEVICE_LIMIT
from tests.e2e.commands import Commands
from tests.e2e.harness import Prefect, wait_for
from tests.e2e.server import Server
from tests.faults.conftest import Begin
from tests.faults.trial import Trial

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]


@pytest.fixture
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Prefect]]:
    """A server with one device."""
    server = Server(tmp_path_factory.mktemp("server"))
    commands = Commands(server.env)
    server.start()
    prefect = Prefect(server.url, server.env, commands)
    prefect.post("v2/concurrency_limits/", {"name": DEVICE_LIMIT, "limit": 1})
    yield server, prefect
    commands.close()
    server.kill()


def taken(prefect: Prefect) -> int:
    """Slots that the server counts as held."""
    (limit,) = prefect.post("v2/concurrency_limits/filter")
    return int(limit["active_slots"])


@pytest.mark.parametrize("killed", [True, False], ids=["run killed", "run goes on"])
@pytest.mark.parametrize("restarted", [True, False], ids=["server restarted", "server stays"])
def test_no_slot_stays_taken(begin: Begin, limited: tuple[Server, Prefect], killed: bool, restarted: bool) -> None:
    """A killed holder's is given back by the next start, which takes it again."""
    server, prefect = limited
    what = " and ".join(["run killed"] * killed + ["server restarted"] * restarted) or "nothing happens"
    trial: Trial = begin(f"slot held, {what}", prefect=prefect)
    trial.env = {**server.env, "MOPD_SERVER_PATIENCE": "60"}
    started = trial.start()
    wait_for(lambda: trial.committed() > 2 and taken(prefect) == 1, 240)
    if killed:
        trial.strike(started, lambda started: started.process.kill())
        started.wait()
    if restarted:
        server.kill()
        server.start()
    assert started.wait() == (-9 if killed else 0), started.output
    assert taken(prefect) == int(killed)
    trial.complete()
    assert taken(prefect) == 0
