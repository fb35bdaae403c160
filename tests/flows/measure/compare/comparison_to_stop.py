"""A comparison whose runs do nothing but stay, and which is sent signals at a chosen place.

    python -m tests.flows.measure.compare.comparison_to_stop OUT RUN WORKERS PLACE SIGNAL…

RUN is `polite` or `deaf` (to SIGINT and SIGTERM). At PLACE `start`, the signals come between the question whether to
go on and the start of the first process; at `running`, when WORKERS processes run. OUT/pids has a file for each process
that was started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from flows.measure.compare import processes as compare_processes
from flows.measure.compare import runs as compare_runs
from flows.measure.compare.arms import arms_of, jobs_of
from flows.measure.compare.processes import Processes
from flows.measure.compare.runs import Runs
from flows.runtime.interrupts import Terminated, orderly_end
from tests.e2e.harness import TINY

STAY = """
import os, pathlib, signal, sys, time
if sys.argv[2] == "deaf":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1], str(os.getpid())).touch()
time.sleep(120)
"""
APART_SECONDS = 0.6
"""Between two signals: each is noticed by itself."""

start_process = subprocess.Popen


def main(out: Path, run: str, workers: int, place: str, signals: list[int]) -> None:
    """Compare, and end as `mopd compare` does."""
    pids = out / "pids"
    pids.mkdir(parents=True)

    def start(_: list[str], **how: Any) -> Any:
        if place == "start":
            send(signals)
            time.sleep(1.0)  # the main thread hears of them meanwhile
        return start_process([sys.executable, "-c", STAY, str(pids), run], **how)

    def send_when_running() -> None:
        while len(list(pids.iterdir())) < workers:
            time.sleep(0.05)
        send(signals)

    compare_processes.subprocess.Popen = start  # type: ignore[assignment,misc]
    compare_runs.has_rollouts = lambda _: True
    if place == "running":
        threading.Thread(target=send_when_running, daemon=True).start()
    with orderly_end():
        runs = Runs(out, jobs_of(TINY, arms_of(["train.objective=mopd,grpo"]), 2, []), print, workers)
        runs.work(Processes(out, print), lambda: None)


def send(signals: list[int]) -> None:
    """To this process, one after the other."""
    for number in signals:
        os.kill(os.getpid(), number)
        time.sleep(APART_SECONDS)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4], [*map(int, sys.argv[5:])])
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except Terminated:
        sys.exit(128 + signal.SIGTERM)
