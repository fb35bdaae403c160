"""Prefect's server goes away in the middle of a run: for a while, for good, or without hanging up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from storage.runs import RunFolder
from storage.shards import manifests
from tests.e2e.commands import ROOT
from tests.e2e.harness import FAKE, TINY, Prefect, committed, is_alive, wait_for
from tests.e2e.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
END_SECONDS = 45.0
"""How long Ctrl-C and SIGTERM may take, whatever the server does."""
LONG = ("--set", "rounds=40")
"""A run that is still under way when another has started."""
SHORT_PATIENCE = 15.0
"""Seconds; a server that has other runs on a busy machine may take a few to answer."""
WAITING_SECONDS = 6.0
"""After these, a run whose server has stopped waits for it."""


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of these tests' own."""
    server = Server(tmp_path_factory.mktemp("prefect"))
    yield server
    server.kill()


@pytest.fixture
def server(own_server: Server) -> Server:
    """The server, at work."""
    if own_server.process is None:
        own_server.start()
    own_server.signal(signal.SIGCONT)
    return own_server


class Going:
    """A run under way on a server, once it has a shard of its first round."""

    def __init__(self, server: Server, run: Path, *overrides: str, patience: float, table: str = "rollouts") -> None:
        self.run = run
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "run", str(TINY), "--run", str(run), *FAKE, *overrides],
            env={**server.env, "MOPD_SERVER_PATIENCE": str(patience)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        wait_for(lambda: committed(run, table, 0), 120.0)
        self.family = psutil.Process(self.process.pid).children(recursive=True)

    def ended(self, seconds: float) -> str:
        """Waits for its end; all that it printed. Nothing that it started is left."""
        output, _ = self.process.communicate(timeout=seconds)
        wait_for(lambda: not any(is_alive(child) for child in self.family), 5.0)
        return output


def digest(prefect: Prefect, run: Path) -> str:
    return prefect.mopd("digest", run).stdout


def end_by_signal(going: Going, number: signal.Signals) -> None:
    """Sends the run a signal while it waits for its server: it ends in time, and says how to go on."""
    started = time.monotonic()
    os.kill(going.process.pid, number)
    output = going.ended(60.0)
    assert time.monotonic() - started < END_SECONDS
    assert going.process.returncode == 128 + number, output
    assert "start the same command again to continue" in output.splitlines()[-1]
    assert "Traceback" not in output


def test_a_signal_ends_the_run_whatever_a_stopped_server_does(server: Server, tmp_path: Path) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM)
    runs = {number: Going(server, tmp_path / number.name, *LONG, patience=90.0) for number in numbers}
    server.signal(signal.SIGSTOP)
    time.sleep(WAITING_SECONDS)
    for number, going in runs.items():
        end_by_signal(going, number)


def test_away_for_a_while_costs_waiting_alone(
    prefect: Prefect, server: Server, finished_run: Path, tmp_path: Path
) -> None:
    """It hangs for some seconds; then it is killed and comes back."""
    going = Going(server, tmp_path / "run", patience=90.0)
    server.signal(signal.SIGSTOP)
    time.sleep(8.0)
    server.signal(signal.SIGCONT)
    wait_for(lambda: committed(going.run, "scores", 0), 60.0)
    server.kill()
    time.sleep(8.0)
    server.start()
    output = going.ended(120.0)
    assert going.process.returncode == 0, output
    assert digest(prefect, going.run) == digest(prefect, finished_run)


def test_away_for_good_ends_the_run_with_a_line(
    prefect: Prefect, server: Server, finished_run: Path, tmp_path: Path
) -> None:
    """The same command completes it, once there is a server. One that still waits is ended by a signal."""
    waits = Going(server, tmp_path / "waits", *LONG, patience=90.0)
    going = Going(server, tmp_path / "run", patience=SHORT_PATIENCE)
    server.kill()
    output = going.ended(90.0)
    assert going.process.returncode == 1, output
    last = output.splitlines()[-1]
    assert last.startswith(
        f"mopd: Prefect's server has not answered for {SHORT_PATIENCE:.0f} s; start it, then the same command again"
    )
    assert "Traceback" not in output
    end_by_signal(waits, signal.SIGTERM)
    done = prefect.mopd("run", TINY, "--run", going.run, *FAKE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert digest(prefect, going.run) == digest(prefect, finished_run)


def test_a_server_that_goes_at_the_very_end_does_not_undo_a_run(server: Server, tmp_path: Path) -> None:
    """All shards are there: only the server does not know."""
    going = Going(server, tmp_path / "run", patience=SHORT_PATIENCE, table="prompts")

    def kill_at_the_end() -> None:
        folder = RunFolder.open(going.run)
        wait_for(lambda: manifests(folder, "guards", 2), 120.0)
        server.kill()

    killer = threading.Thread(target=kill_at_the_end)
    killer.start()
    output = going.ended(120.0)
    killer.join()
    assert going.process.returncode == 0, output
