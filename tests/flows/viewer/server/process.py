"""`mopd view` as a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

MOPD = ("-m", "flows.cli")


@contextmanager
def view(*words: str, mopd: Sequence[str] = MOPD) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command, and the address that it printed. `mopd`: what Python is told to run."""
    command = [sys.executable, *mopd, "view", *words, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http\S+", process.stdout.readline())
            assert found is not None
            yield found[0], process
        finally:
            process.kill()
