"""A small run, and an application that serves it to whoever has the token."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from flows.viewer.server import app as app_module
from flows.viewer.server.app import make_app
from flows.viewer.server.runs import ServedRuns
from mopd.settings import parse_settings
from storage.runs import RunFolder
from tests.storage.storage_samples import fill

HOST = "http://127.0.0.1:8707"
TOKEN = "the-token"


def make_run(folder: Path) -> RunFolder:
    """One shard of every table."""
    run = RunFolder.create(folder, {"settings": parse_settings({}).model_dump(mode="json")})
    fill(run)
    return run


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "runs" / "run")


page = cache(app_module.page)
"""It takes its time, and is the same for all runs."""


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[ServedRuns], TestClient]:
    """A client of an application that serves these runs."""
    monkeypatch.setattr(app_module, "page", page)

    def make_client(runs: ServedRuns) -> TestClient:
        app, _ = make_app(runs, TOKEN)
        return TestClient(app, base_url=HOST, headers={"Authorization": f"Bearer {TOKEN}"})

    return make_client


@pytest.fixture
def client(run: RunFolder, serve: Callable[[ServedRuns], TestClient]) -> TestClient:
    return serve(ServedRuns([run.address]))
