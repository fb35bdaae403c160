"""The clock is set back between the starts of a run: nothing depends on what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.conftest import Begin
from tests.faults.kills import kill_family

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]
LIBRARY = next((str(path) for path in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
BACK = ("-30s", "-1h", "-2d", "-400d")
"""Where the clock of each start stands, from where it should."""


@pytest.mark.skipif(LIBRARY is None, reason="the clock is set back by libfaketime: apt install faketime")
@pytest.mark.parametrize("number", range(2))
def test_the_clock_is_set_back(begin: Begin, number: int) -> None:
    """Of the run and its workers; Prefect's server has its own. Set in the middle of a process, this library spoils
    Python's sleep."""
    trial = begin("clock set back")
    unfaked = trial.env
    for moment, back in zip(trial.moments(len(BACK)), BACK, strict=True):
        trial.env = {**unfaked, "LD_PRELOAD": str(LIBRARY), "FAKETIME": back, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        started = trial.start()
        if moment.come(started, trial.committed):
            trial.strike(started, kill_family)
        started.wait()
        trial.note_committed()
    trial.complete()
