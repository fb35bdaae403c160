"""Freed memory is used again instead of asked for anew."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import resource, sys
import numpy as np
from mopd.memory.freed import give_memory_back, keep_freed_memory

def new_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(64 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first, again = new_pages(), new_pages()
keep_freed_memory()
kept = [new_pages(), new_pages()][1]
give_memory_back()
few = 16  # numpy asks for pages of 2 MB
print(first > few, again > few, kept > few, new_pages() > few)
"""


def test_large_blocks_get_no_new_pages_until_they_are_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "False", "True"]
