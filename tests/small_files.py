"""Files that can't grow: what a full disk is to a library that writes, without a disk of its own."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

REFUSED = "File too large"


@contextmanager
def files_of_at_most(num_bytes: int) -> Iterator[None]:
    """The system refuses this process what goes beyond, with `REFUSED`."""
    unsaved, heeded = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, unsaved[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unsaved)
        signal.signal(signal.SIGXFSZ, heeded)
