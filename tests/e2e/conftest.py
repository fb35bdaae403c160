"""One Prefect server for all end-to-end tests of a worker, on loopback and with a home of its own."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.commands import Commands
from tests.e2e.harness import DATA, FAKE, TINY, Prefect, answers, free_port, wait_for

START_SECONDS = 120.0


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    """A real `prefect server start`."""
    home = tmp_path_factory.mktemp("prefect")
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    env = {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "MOPD_DATA": str(DATA),
    }
    command = [
        sys.executable,
        "-m",
        "prefect",
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-ui",
    ]
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    commands = Commands(env)
    try:
        wait_for(lambda: answers(f"{url}/health"), START_SECONDS)
        yield Prefect(url, env, commands)
    finally:
        commands.close()
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture(scope="module")
def one_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hold the machine for a real engine, across the workers that run tests: one of them is enough for it."""
    with (tmp_path_factory.getbasetemp().parent / "engine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def finished_run(prefect: Prefect, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny config with the fake engine, run to its end."""
    run = tmp_path_factory.mktemp("runs") / "finished"
    done = prefect.mopd("run", TINY, "--run", run, *FAKE)
    assert done.returncode == 0, done.stdout + done.stderr
    return run
