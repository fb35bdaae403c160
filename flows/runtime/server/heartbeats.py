"""Prefect's heartbeats of a flow run: the thread that sends them sleeps whole seconds, and the flow waits for its end.

So each flow that sends them, and a round has ten of them, goes on for up to a second after its work is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_heartbeats() -> Iterator[None]:
    """Flows that begin within it send none; one that runs already goes on to send its own."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield
