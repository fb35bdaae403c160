"""The Prefect server of a single `mopd run`: a process on loopback that ends when the run's process does.

Prefect starts one by itself too, but that one dies of the terminal's Ctrl-C before the run's state is written, and
outlives a killed run. Starting it here also lets inputs be checked while it starts.
"""

from __future__ import annotations

import atexit
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from mopd.errors import InputError

START_SECONDS, STOP_SECONDS, PROBE_SECONDS = 120.0, 5.0, 10.0
TEMPORARY = "MOPD_TEMPORARY_SERVER"


def start_prefect_server() -> ServerStart | None:
    """Begin to start a server; None where the user has one (PREFECT_API_URL or a profile).

    It ends when this process exits, after Prefect has sent its last log lines. Raises InputError when the user's does
    not answer.
    """
    from prefect.settings import get_current_settings

    url = get_current_settings().api.url
    if url:
        check_api(url)
        return None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.server", str(port), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "PREFECT_UI_ENABLED": "0", "PYTHONPATH": _module_path()},
    )
    atexit.register(_stop, process)
    return ServerStart(process, f"http://127.0.0.1:{port}/api")


def check_api(url: str) -> None:
    """Raises InputError when no Prefect API answers there. Keys and certificates are left to Prefect."""
    fix = "start the server, correct PREFECT_API_URL, or unset it"
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=PROBE_SECONDS):
            return
    except urllib.error.HTTPError as error:
        if error.code not in (401, 403):
            raise InputError(f"Prefect's API: {url} answers {error.code}; {fix}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if not isinstance(reason, ssl.SSLError):
            raise InputError(f"Prefect's API: {url} does not answer ({reason}); {fix}") from error


def _module_path() -> str:
    return os.pathsep.join(path or str(Path.cwd()) for path in sys.path)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class ServerStart:
    """A server that may still be starting."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self._process, self._url = process, url

    def wait(self) -> None:
        """Wait until it answers, then make it this process's Prefect server."""
        deadline = time.monotonic() + START_SECONDS
        while not _answers(f"{self._url}/health"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise InputError(
                    "Prefect's server did not start: start the same command again, where the machine was busy, or "
                    "start a server yourself (prefect server start) and set PREFECT_API_URL to it"
                )
            time.sleep(0.1)
        os.environ["PREFECT_API_URL"] = self._url
        os.environ[TEMPORARY] = "1"
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()


def is_temporary() -> bool:
    """Whether this process started its own server."""
    return TEMPORARY in os.environ


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _serve(port: int, parent: int) -> None:
    import uvicorn
    from prefect.server.api.server import create_app

    def end_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()
    uvicorn.run(create_app(ephemeral=True, final=True), host="127.0.0.1", port=port, log_level="error", lifespan="on")


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
