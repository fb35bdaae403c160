"""One Prefect server for all end-to-end tests of a worker, on loopback and with a home of its own."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.commands import Commands
from tests.e2e.harness import FAKE, TINY, Prefect
from tests.e2e.server import Server


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    """A real `prefect server start`."""
    server = Server(tmp_path_factory.mktemp("prefect"))
    commands = Commands(server.env)
    try:
        server.start()
        yield Prefect(server.url, server.env, commands)
    finally:
        commands.close()
        server.kill()


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
    done = prefect.mopd("run", TINY, "--run", run, *FAKE, "--set", "report.page=true")
    assert done.returncode == 0, done.stdout + done.stderr
    return run
