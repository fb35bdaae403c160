"""What a tracker's process may come to, in place of `send_missing`; each leaves a line in the run: its process."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from flows.runtime.messages import Report
from flows.trackers.send import send_missing
from mopd.settings.report import TrackerName
from storage.stores.base import Store

URL = "http://127.0.0.1:9"
NOBODY = {
    "WANDB_BASE_URL": URL,
    "WANDB_API_KEY": f"local-{'0' * 40}",
    "WANDB_MODE": "online",
    "TRACKIO_SERVER_URL": f"{URL}?write_token=none",
    "MLFLOW_TRACKING_URI": URL,
}


def send(_: None, report: Any, store: Store, name: str) -> int:
    return _note(store, name)


def fail(_: None, report: Any, store: Store, name: str) -> int:
    _note(store, name)
    raise ConnectionError("the server is away\nfor now")


def hang(_: None, report: Any, store: Store, name: str) -> int:
    _note(store, name)
    time.sleep(600)
    return 0


def die(_: None, report: Any, store: Store, name: str) -> int:
    _note(store, name)
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def send_to_nobody(_: None, report: Report, store: Store, name: TrackerName) -> int:
    """By the tracker's own library, to a port where nobody listens."""
    os.environ |= {**NOBODY, "WANDB_DIR": str(store.host_folder)}
    return send_missing(None, report, store, name)


def _note(store: Store, name: str) -> int:
    """How often that tracker was sent to."""
    file = store.host_folder / f"sent-{name}"
    with file.open("a") as notes:
        notes.write(f"{os.getpid()}\n")
    return len(file.read_text().splitlines())
