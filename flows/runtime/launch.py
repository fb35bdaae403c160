"""What each command that starts a flow needs: signals, Prefect's settings, its server, then the flow."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from flows.runtime.console import Console
from flows.runtime.interrupts import orderly_end
from flows.runtime.server import prefect_server as server
from flows.runtime.server.heartbeats import without_heartbeats
from flows.runtime.server.patience import CLIENT_SETTINGS, is_temporary
from flows.runtime.worker import warm_up
from mopd.timeline import span

QUIET = {
    **CLIENT_SETTINGS,
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",
    "PYTHONWARNINGS": "ignore:resource_tracker:UserWarning",
}
"""Prefect's client is patient by us; its log goes to its server; the terminal shows progress, and errors once.

Workers end without tearing themselves down, so Python's resource tracker frees their semaphores; it needn't say so."""


@contextmanager
def command_session(*, verbose: bool = False) -> Iterator[None]:
    """A command that may launch a flow: it ends in order, and its progress is shown on the terminal."""
    with orderly_end():
        set_environment(verbose=verbose)
        Console.terminal = sys.stdout
        try:
            yield
        finally:
            Console.terminal = None


def launch(
    flow: str, /, prepare: Callable[[], object] | None = None, *, engine: bool = False, **parameters: Any
) -> None:
    """Run a flow to its end, on the user's Prefect server or on one of its own.

    `flow`: `module:function`. It is imported when the server has begun to start, and Prefect with it; and so a module
    of a command need not import its flow, which may itself import what the command knows. `prepare`: checks, done while
    the server starts, by workers that may be still importing what they need; what they raise is raised here, and the
    flow not run. `engine`: vLLM will be wanted soon. Raises InputError without a server.
    """
    warm_up(engine=engine)
    with span("Prefect and its server", "start"), prefect_server():
        module, _, name = flow.partition(":")
        function = getattr(importlib.import_module(module), name)
        if prepare is not None:
            prepare()
    with without_heartbeats() if is_temporary() else nullcontext():  # nobody else's server listens to them
        function(**parameters)


@contextmanager
def prefect_server() -> Iterator[None]:
    """A server begins to start, where the user has none; behind the block it answers. Raises InputError."""
    start = server.start_prefect_server()
    yield
    if start is not None:
        start.wait()


def set_environment(*, verbose: bool = False) -> None:
    """Keep Prefect's log out of the terminal, unless it is asked for."""
    for name, value in QUIET.items():
        if not (verbose and name.startswith("PREFECT_LOGGING")):
            os.environ.setdefault(name, value)
