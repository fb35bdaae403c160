"""`mopd run` as a process that is struck: it and all that works for it are found by a mark in their environment."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.e2e.commands import ROOT
from tests.e2e.harness import is_alive

MARK = "MOPD_FAULT_TRIAL"
"""In the environment of everything that a trial starts."""
END_SECONDS = 90.0
"""How long a process, and what it started, may take to end on a busy machine."""
RUN_SECONDS = 420.0


class Started:
    """A `mopd run` under way; what it prints goes to a file."""

    def __init__(self, arguments: list[str], env: Mapping[str, str], output: Path, **options: object) -> None:
        self.mark = uuid.uuid4().hex
        self._output = output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flows.cli", "run", *arguments],
                env={**env, MARK: self.mark, "PYTHONFAULTHANDLER": "1"},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                **options,  # type: ignore[call-overload]
            )

    @property
    def output(self) -> str:
        """All that it has printed."""
        return self._output.read_text(errors="replace")

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def family(self) -> list[psutil.Process]:
        """It and all that it started, orphans too."""
        return [process for process in psutil.process_iter() if is_alive(process) and _mark_of(process) == self.mark]

    def workers(self) -> dict[str, psutil.Process]:
        """Its worker processes by name, `trainer-0`: as their logs are called."""
        logs = ((process, _log_of(process)) for process in self.family() if _leads(process))
        return {log.stem: process for process, log in logs if log.suffix == ".log" and log.parent.name == "logs"}

    def server(self) -> psutil.Process | None:
        """The Prefect server that it started for itself."""
        found = (process for process in self.family() if "flows.runtime.server.prefect_server" in _words_of(process))
        return next(found, None)

    def wait(self, seconds: float = RUN_SECONDS) -> int:
        """Its exit code, once nothing of it is left."""
        code = self.process.wait(seconds)
        self.wait_until_gone()
        return code

    def wait_until_gone(self, seconds: float = END_SECONDS) -> None:
        """Nothing that it started lives on."""
        deadline = time.monotonic() + seconds
        while left := self.family():
            assert time.monotonic() < deadline, f"{[_words_of(process) for process in left]} lives on\n{self.output}"
            time.sleep(0.3)

    def end(self) -> None:
        """Whatever happened, nothing stays behind."""
        for process in self.family():
            process.kill()
        self.process.wait()


@dataclass(frozen=True)
class Moment:
    """When to strike: so many shards are committed, and then some seconds later."""

    commits: int
    seconds: float

    @classmethod
    def draw(cls, draw: random.Random, commits: int) -> Moment:
        """Before the first shard lies the start of the process, which takes longer than a shard."""
        return cls(commits, draw.uniform(0.0, 0.4 if commits else 6.0))

    def come(self, started: Started, committed: Callable[[], int]) -> bool:
        """Waits for it; False where the process ended before."""
        deadline = time.monotonic() + RUN_SECONDS
        while not started.ended and committed() < self.commits:
            assert time.monotonic() < deadline, f"waited in vain for {self.commits} shards\n{started.output}"
            time.sleep(0.02)
        until = time.monotonic() + self.seconds
        while not started.ended and time.monotonic() < until:
            time.sleep(0.01)
        return not started.ended


def _mark_of(process: psutil.Process) -> str:
    try:
        return str(process.environ().get(MARK, ""))
    except (psutil.Error, OSError):
        return ""


def _words_of(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _leads(process: psutil.Process) -> bool:
    try:
        return os.getsid(process.pid) == process.pid
    except OSError:
        return False


def _log_of(process: psutil.Process) -> Path:
    """What its stdout goes to."""
    try:
        return Path(f"/proc/{process.pid}/fd/1").readlink()
    except OSError:
        return Path()
