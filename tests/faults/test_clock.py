"""The clock is set back, before a start and in the middle of one: nothing depends on what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.conftest import Begin
from tests.faults.process import Started

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]
LIBRARY = next((str(path) for path in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
BACK = ("-1h", "-2d", "-30s", "-400d")
"""Where the clock stands, from where it should: first in its order."""


@pytest.mark.skipif(LIBRARY is None, reason="the clock is set back by libfaketime: apt install faketime")
@pytest.mark.parametrize("number", range(2))
def test_the_clock_is_set_back(begin: Begin, tmp_path: Path, number: int) -> None:
    """Of the run and its workers; Prefect's server has its own."""
    trial = begin("clock set back")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    faked = {"LD_PRELOAD": LIBRARY, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    trial.env = {**trial.env, **faked, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def set_back(started: Started) -> None:
        clock.write_text(trial.draw.choice(BACK))

    for moment, kill in zip(trial.moments(4), (True, False, True, False), strict=True):
        started = trial.start()
        if moment.come(started, trial.committed):
            trial.strike(started, set_back)
        if kill:
            started.process.kill()
        if started.wait() and not kill:
            trial.check_said(started.output)
        trial.note_committed()
    trial.complete()
