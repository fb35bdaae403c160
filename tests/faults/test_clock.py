"""The clock is set back, in the middle of a start and between two: nothing depends on what it says."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Begin
from tests.faults.kills import kill_run
from tests.faults.process import Started

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]
SOURCE = Path(__file__).with_name("shifted_clock.c")
COMPILER = shutil.which("cc")
DAY = 24 * 60 * 60
BACK = (30, 60 * 60, 2 * DAY, 400 * DAY)
"""Seconds from where it should stand."""


@pytest.mark.skipif(COMPILER is None, reason="the clock is set back by a library that a C compiler makes")
@pytest.mark.parametrize("number", range(2))
def test_the_clock_is_set_back(begin: Begin, tmp_path: Path, number: int) -> None:
    """Of the run and its workers; Prefect's server has its own."""
    library, clock = tmp_path / "shifted_clock.so", tmp_path / "clock"
    subprocess.run([str(COMPILER), "-shared", "-fPIC", "-o", str(library), str(SOURCE)], check=True)
    clock.write_text("0")
    trial = begin("clock set back")
    trial.env = {**trial.env, "LD_PRELOAD": str(library), "SHIFTED_CLOCK": str(clock)}
    for moment, back in zip(trial.moments(len(BACK)), BACK, strict=True):

        def strike(started: Started, back: int = back) -> None:
            clock.write_text(str(-back))
            time.sleep(trial.draw.uniform(0.0, 2.0))
            kill_run(started)

        started = trial.start()
        if moment.come(started, trial.committed):
            trial.strike(started, strike)
        started.wait()
        trial.note_committed()
    trial.complete()
