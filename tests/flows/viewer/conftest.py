"""A real headless Chromium, and pages of which nothing may stand in the console."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from storage.runs import RunFolder
from tests.flows.rounds_by_jobs import make_run

CHROMIUM = os.environ.get("MOPD_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The system's browser; without one the tests are skipped, saying so.

    A module's own: as long as Playwright is open an event loop counts as running in this thread, and then nothing
    else here, tests of other modules neither, can call `asyncio.run`.
    """
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium, or name one in MOPD_CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Any) -> Iterator[Any]:
    """A fresh tab; what it wrote to its console, and what went wrong in it, fails the test at its end."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    said: list[str] = []
    tab.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    tab.on("pageerror", lambda error: said.append(str(error)))
    yield tab
    context.close()
    assert said == []


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Two rounds of the tiny model, whose replies a fake engine made up: contrastive contexts, and their control."""
    exact = ("rounds=2", "score.precision=float32")
    return make_run(tmp_path_factory.mktemp("runs") / "small", *exact)
