"""The command `mopd view`: a port of loopback, a token, the page; until Ctrl-C."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import uvicorn

from flows.runtime.exit_code import INTERRUPTED
from flows.viewer.server.app import make_app
from flows.viewer.server.browser import shown_in_browser
from flows.viewer.server.runs import ServedRuns
from mopd.errors import InputError
from storage.logger import silenced

HOST = "127.0.0.1"
PORT = 8707
MEMORY_GIGABYTES = 4.0
"""That what is asked of a run may take: beside a run, most of the host's is the run's."""
END_SECONDS = 1
"""What is still asked then is cut off, and what can't be is left to itself so much later."""


def view_command(words: Sequence[str], port: int, memory_gigabytes: float, *, opens_browser: bool) -> int:
    """Serve the runs that the words name; the exit code, when Ctrl-C ends it. Raises InputError."""
    runs = ServedRuns(words, memory_gigabytes)
    with _bind(port) as bound, silenced():  # the page tells of what is damaged
        port, token = bound.getsockname()[1], secrets.token_urlsafe(32)
        app, pages = make_app(runs, token)
        address = f"http://{HOST}:{port}/#token={token}"
        _say(address, port, len(runs.all()))
        ended = threading.Event()
        looking = threading.Thread(target=runs.look_on, args=(ended,), daemon=True, name="look at runs")
        looking.start()
        threading.Thread(target=_warm, daemon=True, name="warm").start()
        config = uvicorn.Config(
            app, log_level="critical", lifespan="off", server_header=False, timeout_graceful_shutdown=END_SECONDS
        )
        try:
            with shown_in_browser(address) if opens_browser else nullcontext():
                _Server(config, pages.stop).run(sockets=[bound])
        except KeyboardInterrupt:
            return INTERRUPTED
        finally:
            ended.set()
            looking.join(END_SECONDS)
            runs.close()
    return 0


class _Server(uvicorn.Server):
    """One that ends its queries before it waits for them, and waits for nothing else."""

    def __init__(self, config: uvicorn.Config, stop_queries: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop_queries = stop_queries

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's. Python would then wait for each thread that still makes a document, which nothing can end."""
        self._stop_queries()
        last = threading.Timer(2 * END_SECONDS, os._exit, [INTERRUPTED])
        last.daemon = True
        last.start()
        await super().shutdown(sockets)


def _bind(port: int) -> socket.socket:
    """A socket of loopback alone. Raises InputError for a port that is taken, or is none of ours."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port))
        bound.listen()
    except (OSError, OverflowError) as error:
        bound.close()
        is_taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        reason = "is taken" if is_taken else f"can't be listened to ({error})"
        raise InputError(f"--port {port}: {reason}; name another one, or 0 for one that is free") from error
    return bound


def _say(address: str, port: int, num_runs: int) -> None:
    runs = "1 run" if num_runs == 1 else f"{num_runs} runs"
    print(f"{runs}: {address}")
    print(
        f"Ctrl-C ends it; from another host: ssh -L {port}:{HOST}:{port} THIS_HOST, then the same address", flush=True
    )


def _warm() -> None:
    """Import what the first document would wait for."""
    import mopd.objectives.distill  # noqa: F401
