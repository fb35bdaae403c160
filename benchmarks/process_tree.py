"""What a command and all its descendants hold at once: their proportional set sizes, summed and sampled."""

from __future__ import annotations

import ctypes
import re
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import psutil

LEAST_PAUSE = 0.25
BUSY_SHARE = 0.05
"""Most of one core that is spent on sampling."""
SUBREAPER = 36
"""Of prctl(2): descendants whose parent has ended become this process's children."""


class Measured(NamedTuple):
    """Of a command that has ended."""

    began: float
    ended: float
    """Seconds since the epoch."""
    peak_bytes: list[int]
    """What each of its processes held when all together held most, largest first; pages they share count once. Sampled:
    a peak of a moment may be missed."""
    largest_bytes: int
    """Most that one of its processes ever held, as the kernel has it: nothing is missed, shared pages count in full."""


def run_measured(command: list[str], cwd: Path, log: Path) -> Measured:
    """Run a command to its end, its output in `log`. Raises SystemExit with the end of the log where it fails."""
    ctypes.CDLL(None).prctl(SUBREAPER, 1)
    began, peak, largest = time.time(), [0], 0
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=cwd, stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            start = time.monotonic()
            tree = psutil.Process().children(recursive=True)
            peak = max(peak, sorted(filter(None, map(proportional_bytes, tree)), reverse=True), key=sum)
            largest = max([largest, *map(most_bytes, tree)])
            took = time.monotonic() - start
            try:
                process.wait(max(LEAST_PAUSE, took / BUSY_SHARE))
            except subprocess.TimeoutExpired:
                continue
    ended = time.time()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}\n{log.read_text()[-3000:]}")
    return Measured(began, ended, peak, largest)


def proportional_bytes(process: psutil.Process) -> int:
    """Resident bytes of a process, each page divided by the number of those that map it; 0 once it has ended."""
    return _read_kilobytes(process, "smaps_rollup", "Pss") * 1024


def most_bytes(process: psutil.Process) -> int:
    """Resident bytes that a process had at most so far; 0 once it has ended."""
    return _read_kilobytes(process, "status", "VmHWM") * 1024


def _read_kilobytes(process: psutil.Process, file: str, name: str) -> int:
    try:
        text = Path(f"/proc/{process.pid}/{file}").read_text()
    except OSError:  # it has ended, or is ending
        return 0
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found.group(1)) if found else 0
