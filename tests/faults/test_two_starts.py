"""Two starts of one run at once: one works, and the other says so or finds nothing left to do."""

from __future__ import annotations

import time

import pytest

from tests.faults.conftest import Begin
from tests.faults.trial import Trial

pytestmark = pytest.mark.timeout(1200)
USER_ERROR = 2


def start_twice(trial: Trial, seconds: float) -> None:
    """Both end well, or one of them is refused."""
    first = trial.start()
    time.sleep(seconds)
    second = trial.start()
    trial.hits.append("at once" if seconds == 0.0 else "soon after")
    codes = sorted(started.wait() for started in (first, second))
    assert codes in ([0, 0], [0, USER_ERROR]), first.output + second.output
    for started in (first, second):
        if started.process.returncode:
            trial.check_said(started.output)
            assert "is being run by" in started.output, started.output


@pytest.mark.faults
@pytest.mark.parametrize("number", range(4))
def test_two_starts_of_one_run(begin: Begin, number: int) -> None:
    trial = begin("two starts at once")
    start_twice(trial, trial.draw.choice([0.0, trial.draw.uniform(0.0, 6.0)]))
    trial.complete()
