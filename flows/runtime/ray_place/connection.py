"""The run's process as a driver of a Ray cluster."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import threading
from typing import Any

from mopd.errors import InputError

REACH_SECONDS = 5.0
ANSWER_SECONDS = 60.0
"""Of a host whose port is open: it may be busy. Ray itself asks for two minutes, and then ends the process."""
JOIN_SECONDS = 120.0
"""A cluster that answers may never take a driver, where this host doesn't reach its outer address."""
AUTO_CONNECT = "RAY_ENABLE_AUTO_CONNECT"
"""Off: else Ray starts a cluster of its own where a thread asks it for something after the end."""
_lock = threading.Lock()


def connect(address: str) -> None:
    """Join the cluster at `address`, once in a process; its actors end with the process. Raises InputError, in time."""
    with _lock:
        if importlib.util.find_spec("ray") is None:
            raise InputError("place: ray takes the package ray, which is not installed; pip install 'mopd[ray]'")
        os.environ.setdefault(AUTO_CONNECT, "0")
        import ray

        if not ray.is_initialized():
            _check_answer(address)
            _initialize(ray, address)


def _check_answer(address: str) -> None:
    """Whether a cluster answers, asked by Ray's own command in a process that can be ended."""
    if address != "auto":
        _reach(address)
    named = [] if address == "auto" else ["--address", address]
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", *named]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS)
    except subprocess.TimeoutExpired:
        raise InputError(_no_answer(address, f"within {ANSWER_SECONDS:.0f} s")) from None
    if done.returncode:
        raise InputError(_no_answer(address, _last_line(done.stderr) or f"exit code {done.returncode}"))


def _reach(address: str) -> None:
    """Whether anything listens there."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise InputError(f"place.address: {address}: HOST:PORT of the cluster's head is wanted, or auto")
    try:
        socket.create_connection((host, int(port)), REACH_SECONDS).close()
    except (OSError, UnicodeError) as error:  # the second for a name that none can have
        raise InputError(_no_answer(address, getattr(error, "strerror", None) or str(error))) from error


def _initialize(ray: Any, address: str) -> None:
    """Apart from the main thread, where Ray would take SIGTERM for itself."""
    errors: list[BaseException] = []
    from ray._private import worker

    # Pages of what raylets report of hosts and processes that died; what follows of that we say ourselves.
    worker.listen_error_messages = lambda *_: None

    def initialize() -> None:
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=initialize, daemon=True, name="ray.init")
    thread.start()
    thread.join(JOIN_SECONDS)
    if thread.is_alive():
        raise InputError(_no_answer(address, f"it answers, and takes no driver within {JOIN_SECONDS:.0f} s"))
    if errors:
        raise InputError(f"place.address: {address}: {_last_line(str(errors[0]))}") from errors[0]


def _no_answer(address: str, why: str) -> str:
    if address == "auto":
        return f"place.address: auto: no Ray on this host ({why}); start it (ray start --head), or name its address"
    return f"place.address: {address}: no Ray answers there ({why}); start the cluster, or name the one that runs"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
