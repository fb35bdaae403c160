"""What a run is at, in a small file that is replaced every few seconds: for `mopd status --watch`, and for nobody else.

RUN/progress.json     only while a process works on the run, or after one was killed. Never a truth.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from storage.errors import StorageError
from storage.logger import LOGGER
from storage.runs import RunFolder

PROGRESS_FILE = "progress.json"
BEAT_SECONDS = 3.0


class ProgressFile:
    """Writes what `describe()` returns, where that has changed, from a thread of its own: nobody waits for it."""

    def __init__(self, folder: RunFolder, describe: Callable[[], dict[str, Any]]) -> None:
        self._folder, self._describe = folder, describe
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="progress", daemon=True)
        self._written = b""

    def begin(self) -> None:
        """Write from now on."""
        self._thread.start()

    def end(self) -> None:
        """Write no more, and leave nothing."""
        self._ended.set()
        self._thread.join(2 * BEAT_SECONDS)
        with suppress(OSError, StorageError):
            self._folder.store.remove(PROGRESS_FILE)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            content = json.dumps(self._describe(), indent=1).encode()
            if content == self._written:
                continue
            try:
                self._folder.store.replace(PROGRESS_FILE, content)
            except (OSError, StorageError) as error:  # what the run itself writes there will say more
                LOGGER.debug("%s: its progress is not written: %s", self._folder.address, error)
            else:
                self._written = content


def read_progress(folder: RunFolder) -> dict[str, Any] | None:
    """What the process that works on a run wrote last; None where there is nothing."""
    try:
        content = json.loads(folder.store.read(PROGRESS_FILE))
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None
