"""Ctrl-C is not lost when its exception is."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from flows.runtime.console import Console
from flows.runtime.interrupts import Terminated, orderly_end, raise_if_interrupted
from tests.flows.plan.test_plan import run_of


def test_a_ctrl_c_whose_exception_was_swallowed_is_raised_again() -> None:
    with orderly_end():
        raise_if_interrupted()
        with pytest.raises(KeyboardInterrupt):  # stands for a callback that Python drops exceptions of
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            raise_if_interrupted()
    with orderly_end():
        raise_if_interrupted()


def test_a_run_that_fails_of_ctrl_c_was_interrupted_whatever_it_says(tmp_path: Path) -> None:
    """Prefect raises an error of its own where Ctrl-C comes while it prepares a step."""
    from flows.execute.session import Run

    folder, _ = run_of(tmp_path / "run")
    for number, expected in ((signal.SIGINT, KeyboardInterrupt), (0, ValueError)):
        with orderly_end(), pytest.raises(expected) as caught, Run.open(folder, Console()):
            with suppress(KeyboardInterrupt):
                os.kill(os.getpid(), number)
            raise ValueError("Task run is not set")
        assert "Task run is not set" in str(caught.value.__context__ or caught.value)


def test_sigterm_is_an_exception_and_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with orderly_end(), pytest.raises(Terminated):
        os.kill(os.getpid(), signal.SIGTERM)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
