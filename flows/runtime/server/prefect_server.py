"""The Prefect server of a single `mopd run`: a process on loopback that ends when the run's process does.

Prefect starts one by itself too, but that one dies of the terminal's Ctrl-C before the run's state is written, and
outlives a killed run. Starting it here also lets inputs be checked while it starts.
"""

from __future__ import annotations

import atexit
import fcntl
import ipaddress
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from flows.runtime.importing import importing
from flows.runtime.interrupts import AT_HARD_END
from flows.runtime.server.patience import PATIENCE, TEMPORARY, be_patient
from mopd.errors import InputError
from mopd.models.embedded import cache_folder

START_SECONDS, STOP_SECONDS, PROBE_SECONDS = 120.0, 5.0, 10.0
MADE = "database-is-made"
"""A file beside the database: two servers that make it at once spoil it."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SERVER_SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_UI_ENABLED": "false",
}


def start_prefect_server() -> ServerStart | None:
    """Begin to start a server; None where the user has one (PREFECT_API_URL or a profile).

    It ends when this process exits, after Prefect has sent its last log lines. Raises InputError when the user's does
    not answer.
    """
    leave_proxies_out()
    PATIENCE.begin()
    be_patient()
    home = server_home()
    _give_client_a_home(home)
    from prefect.settings import get_current_settings

    url = get_current_settings().api.url
    if url:
        check_api(url)
        return None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    first = _first_start(home)
    log_file = tempfile.NamedTemporaryFile(prefix="server-", suffix=".log", dir=home)  # noqa: SIM115 - as long as it runs
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.runtime.server.prefect_server", str(port), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=log_file,
        stderr=log_file,
        start_new_session=True,
        env=server_environment(home),
        cwd=home,  # a prefect.toml or .env in the user's folder is not for this server
    )
    atexit.register(_stop, process)
    AT_HARD_END.append(process.kill)
    return ServerStart(process, f"http://127.0.0.1:{port}/api", Path(log_file.name), (log_file, first))


def _first_start(home: Path) -> IO[str] | None:
    """What holds other first starts back until this one has made the database; None where it is made."""
    if (home / MADE).exists():
        return None
    file = (home / "first-start.lock").open("w")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def leave_proxies_out() -> None:
    """Loopback is never asked through a proxy; for everything else the user's proxies stay in force."""
    names = [name for name in ("no_proxy", "NO_PROXY") if name in os.environ] or ["no_proxy", "NO_PROXY"]
    for name in names:
        listed = [part.strip() for part in os.environ.get(name, "").split(",") if part.strip()]
        further = [host for host in LOOPBACK if host not in listed]
        os.environ[name] = "*" if "*" in listed else ",".join([*listed, *further])


def server_home() -> Path:
    """A folder for the files of our own servers: their database and what they say. It is not the user's own."""
    import prefect

    name = f"prefect-{prefect.__version__}"
    for base in (cache_folder(), Path(tempfile.gettempdir()) / f"mopd-{os.geteuid()}"):
        home = base / name
        try:
            home.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=home):
                return home
        except OSError:
            continue
    raise InputError(
        f"{cache_folder()}: can't be written, nor can {tempfile.gettempdir()}, and Prefect's server needs a folder for "
        "its database; name one in MOPD_CACHE"
    )


def server_environment(home: Path) -> dict[str, str]:
    """The environment of our own server: none of the user's settings for servers or clients of theirs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    homes = {"PREFECT_HOME": str(home), "PREFECT_PROFILES_PATH": str(home / "profiles.toml")}
    return {**kept, **SERVER_SETTINGS, **homes, "PYTHONPATH": _module_path()}


def _give_client_a_home(home: Path) -> None:
    """Prefect's client keeps files at home too: here, where the user's can't be written."""
    users_home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect")
    try:
        users_home = users_home.expanduser()
        users_home.mkdir(parents=True, exist_ok=True)
        if os.access(users_home, os.W_OK):
            return
    except (OSError, RuntimeError):  # no such user, or a home that can't be made
        pass
    os.environ["PREFECT_HOME"] = str(home)


def check_api(url: str) -> None:
    """Raises InputError when no Prefect API answers there. Keys and certificates are left to Prefect."""
    fix = "start the server, correct PREFECT_API_URL, or unset it"
    try:
        _leave_out(urlsplit(url).hostname or "")
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=PROBE_SECONDS):
            return
    except urllib.error.HTTPError as error:
        if error.code not in (401, 403):
            raise InputError(f"Prefect's API: {url} answers {error.code}; {fix}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if not isinstance(reason, ssl.SSLError):
            raise InputError(f"Prefect's API: {url} does not answer ({reason}); {fix}") from error


def _leave_out(host: str) -> None:
    """Another address of this machine is not asked through a proxy either."""
    try:
        if not ipaddress.ip_address(host).is_loopback or host in LOOPBACK:
            return
    except ValueError:
        return
    for name in ("no_proxy", "NO_PROXY"):
        if os.environ.get(name, "*") != "*":
            os.environ[name] += f",{host}"


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

    def __init__(self, process: subprocess.Popen[bytes], url: str, log: Path, held: tuple[Any, IO[str] | None]) -> None:
        """`held`: the open file of its log, which goes with this process; and what holds other first starts back."""
        self._process, self._url, self._log = process, url, log
        self._open_log, self._first = held

    def wait(self) -> None:
        """Wait until it answers, then make it this process's Prefect server. Raises InputError where it does not."""
        try:
            self._wait()
            (self._log.parent / MADE).touch()
        finally:
            if self._first is not None:
                self._first.close()
        os.environ["PREFECT_API_URL"] = self._url
        os.environ[TEMPORARY] = "1"
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(f"{self._url}/health"):
            if self._process.poll() is not None:
                raise InputError(
                    f"Prefect's server ended while it started: {self._last_words()}; mend that, or {OTHER_SERVER}"
                )
            if time.monotonic() > deadline:
                raise InputError(
                    f"Prefect's server did not answer in {START_SECONDS:.0f} s; it last said: {self._last_words()}; "
                    f"start the same command again, where the machine was busy, or {OTHER_SERVER}"
                )
            time.sleep(0.1)

    def _last_words(self) -> str:
        """The last error that it told of, or the last line that tells something."""
        lines = [line.strip() for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines()]
        telling = [line for line in lines if re.search(r"\w{3}", line) and "Application startup failed" not in line]
        errors = [line for line in telling if re.match(r"[\w.]*(?:Error|Exception)\b", line.removeprefix("ERROR: "))]
        return (errors or telling or ["nothing"])[-1][:300]


OTHER_SERVER = "start a server yourself (prefect server start) and set PREFECT_API_URL to it"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _serve(port: int, parent: int) -> None:
    with importing():
        import uvicorn
        from prefect.server.api.server import create_app

        app = create_app(ephemeral=True, final=True)

    def end_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", lifespan="on")


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
