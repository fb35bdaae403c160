"""An error that a user can mend is one line, with its traceback where that is asked for."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from flows.runtime.exit_code import run_to_exit_code
from flows.runtime.interrupts import Terminated
from flows.runtime.worker import WorkerDied
from mopd.errors import InputError
from storage.errors import StorageError

ERRORS: list[tuple[BaseException, int, str]] = [
    (InputError("rounds: 0 is too few;\n  give 1"), 2, "mopd: rounds: 0 is too few; give 1\n"),
    (StorageError("run is not a run"), 2, "mopd: run is not a run\n"),
    (PermissionError(13, "Permission denied", "runs/demo"), 2, "mopd: runs/demo: Permission denied\n"),
    (OSError("no space"), 2, "mopd: no space\n"),
    (OSError(28, "No space left on device", "read", None, "written"), 2, "mopd: written: No space left on device\n"),
    (FileNotFoundError(2, "No such file", "read", None, "written"), 2, "mopd: read: No such file\n"),
    (WorkerDied("score: killed"), 1, "mopd: score: killed; start the same command again to continue\n"),
    (Terminated(143), 143, "mopd: terminated; start the same command again to continue\n"),
    (KeyboardInterrupt(), 130, "mopd: interrupted; start the same command again to continue\n"),
]


def deep(error: BaseException) -> int:
    """Raise it from a function with a name that a traceback has."""
    raise error


@pytest.mark.parametrize(("error", "code", "line"), ERRORS)
def test_one_line(error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_to_exit_code(lambda: deep(error)) == code
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(("error", "code", "line"), ERRORS)
def test_the_traceback_stands_before_the_line_where_it_is_asked_for(
    error: BaseException,
    code: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MOPD_TRACEBACK", "1")
    assert run_to_exit_code(lambda: deep(error)) == code
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback") and "in deep" in shown and shown.endswith(line)


def test_a_bug_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        run_to_exit_code(lambda: deep(ZeroDivisionError()))


def test_a_thread_in_a_library_does_not_spoil_the_end() -> None:
    """What is registered for the end is done; Python's own end would be that of SIGABRT."""
    script = """
import atexit, threading, time, duckdb
from flows.runtime.exit_code import leave

def ask():
    while True:
        duckdb.connect().execute("SELECT count(*) FROM range(3_000_000)").fetchall()

atexit.register(print, "done at the end")
threading.Thread(target=ask, daemon=True).start()
time.sleep(0.3)
leave(3)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (3, "done at the end\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_the_very_end_ends_what_is_waited_for(number: int) -> None:
    script = """
import threading, time
from flows.runtime.exit_code import leave

threading.Thread(target=time.sleep, args=(60,)).start()
threading.Timer(0.5, print, ["waits"], {"flush": True}).start()
leave(130)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "waits\n"
        process.send_signal(number)
        assert (process.communicate(timeout=30)[0], process.returncode) == ("", 130)
