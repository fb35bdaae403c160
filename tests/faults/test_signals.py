"""SIGTERM and Ctrl-C at any moment, twice too: the run ends with its line and code, and goes on when it is told to."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.faults.conftest import Begin
from tests.faults.process import Started

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]
PER_RUN = 3


def terminate(started: Started) -> None:
    """As a scheduler does: the run's process alone."""
    os.kill(started.process.pid, signal.SIGTERM)


def interrupt(started: Started) -> None:
    """As a terminal does: all of the group."""
    os.killpg(started.process.pid, signal.SIGINT)


SIGNALS: dict[str, tuple[Callable[[Started], None], int]] = {"SIGTERM": (terminate, 143), "Ctrl-C": (interrupt, 130)}


def begun(started: Started) -> bool:
    """Whether Python had come as far as to the command, which takes signals in its own way."""
    return started.output != "" and not started.output.startswith("Traceback")


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("times", [1, 2])
def test_a_signal_ends_a_run_in_order(begin: Begin, name: str, times: int) -> None:
    send, code = SIGNALS[name]
    trial = begin(name if times == 1 else f"{name}, twice")

    def strike(started: Started) -> None:
        for _ in range(times):
            send(started)
            time.sleep(trial.draw.uniform(0.0, 0.5))
            if started.ended:
                return

    for moment in trial.moments(PER_RUN):
        started = trial.start()
        if moment.come(started, trial.committed):
            trial.strike(started, strike)
        ended = started.wait()
        if begun(started):
            assert ended in (code, 0), started.output
            if ended:
                trial.check_said(started.output)
        trial.note_committed()
    trial.complete()
