"""Freed memory is used again instead of asked for anew."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import resource
import numpy as np
from mopd.memory.freed import keep_freed_memory

def new_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(64 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

few = 16  # numpy asks for pages of 2 MB
by_default = [new_pages() > few, new_pages() > few]
keep_freed_memory()
print(by_default, [new_pages() > few, new_pages() > few])
"""


def test_large_blocks_get_new_pages_once() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[True, True] [True, False]"
