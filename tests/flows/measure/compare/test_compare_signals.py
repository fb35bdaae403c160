"""No signal, wherever and however often it comes, leaves a run of a comparison behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flows.measure.compare.arms import arms_of, jobs_of
from flows.measure.compare.processes import Processes
from flows.measure.compare.runs import PATIENCE_SECONDS
from flows.runtime.interrupts import END_SECONDS, noted_signals
from tests.e2e.harness import ROOT, TINY

INT, TERM = signal.SIGINT, signal.SIGTERM
SOON = 3 * PATIENCE_SECONDS
"""Seconds from the start of a comparison's interpreter to its end, on a machine that others use as well."""


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> Iterator[None]:
    """Also where a shell started the tests in its background, and so deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def stopped(out: Path, run: str, workers: int, place: str, *signals: int) -> tuple[int, float, int]:
    """The exit code of a comparison that is sent signals, the seconds that it took, and how many processes it began."""
    program = "tests.flows.measure.compare.comparison_to_stop"
    command = [sys.executable, "-m", program, str(out), run, str(workers), place]
    began = time.monotonic()
    done = subprocess.run([*command, *(str(int(number)) for number in signals)], cwd=ROOT, timeout=60, check=False)
    seconds = time.monotonic() - began
    pids = [int(path.name) for path in (out / "pids").iterdir()]
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    return done.returncode, seconds, len(pids)


@pytest.mark.parametrize("number", [INT, TERM])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_between_the_question_and_the_start_ends_what_is_started(
    tmp_path: Path, number: int, workers: int
) -> None:
    code, seconds, _ = stopped(tmp_path / "out", "polite", workers, "start", number)
    assert code == 128 + number
    assert seconds < SOON


@pytest.mark.parametrize("number", [INT, TERM])
def test_a_signal_ends_the_runs_that_are_on_their_way(tmp_path: Path, number: int) -> None:
    code, seconds, begun = stopped(tmp_path / "out", "polite", 2, "running", number)
    assert (code, begun) == (128 + number, 2)
    assert seconds < SOON


def test_a_run_that_does_not_hear_is_killed_in_time(tmp_path: Path) -> None:
    code, seconds, begun = stopped(tmp_path / "out", "deaf", 2, "running", INT)
    assert (code, begun) == (128 + INT, 2)
    assert seconds > PATIENCE_SECONDS


@pytest.mark.parametrize("further", [INT, TERM])
def test_a_second_signal_kills_them_at_once(tmp_path: Path, further: int) -> None:
    code, seconds, begun = stopped(tmp_path / "out", "deaf", 2, "running", INT, further, further)
    assert (code, begun) == (128 + INT, 2)
    assert seconds < PATIENCE_SECONDS


def test_our_patience_ends_before_the_time_that_the_comparison_has() -> None:
    assert 0 < PATIENCE_SECONDS < END_SECONDS


def test_a_run_that_can_not_be_followed_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its log can't be written: nobody would see how it ends."""
    (tmp_path / "logs").touch()
    started: list[subprocess.Popen[str]] = []
    start = subprocess.Popen

    def stay(_: list[str], **how: object) -> subprocess.Popen[str]:
        started.append(start([sys.executable, "-c", "import time; time.sleep(120)"], **how))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr("flows.measure.compare.processes.subprocess.Popen", stay)
    (job, *_) = jobs_of(TINY, arms_of(["train.objective=mopd,grpo"]), 1, [])
    with pytest.raises(OSError, match="logs"):
        Processes(tmp_path, lambda _: None).launch(job, None)
    assert [process.returncode for process in started] == [-signal.SIGKILL]


def test_a_run_of_a_comparison_that_was_killed_ends_by_itself(tmp_path: Path) -> None:
    """It looks for its parent: here for one that is not there any more."""
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    command = [
        sys.executable,
        "-m",
        "flows.measure.compare.processes",
        gone.stdout.strip(),
        str(TINY),
        str(tmp_path / "run"),
    ]
    done = subprocess.run(command, cwd=ROOT, timeout=60, check=False, capture_output=True)
    assert done.returncode == 1
    assert not (tmp_path / "run").exists()


def test_noted_signals_come_when_it_is_over() -> None:
    with pytest.raises(KeyboardInterrupt), noted_signals() as numbers:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        noted = list(numbers)
    assert noted == [signal.SIGINT, signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
