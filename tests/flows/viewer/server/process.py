"""`mopd view` as a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def view(*words: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command, and the address that it printed."""
    command = [sys.executable, "-m", "flows.cli", "view", *words, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http\S+", process.stdout.readline())
            assert found is not None
            yield found[0], process
        finally:
            process.kill()
