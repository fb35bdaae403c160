"""A Prefect server that is away for a while costs a run nothing but waiting; one that is away for good ends it.

Every request of this process, whichever of Prefect's clients sends it, is sent again until the server answers. The time
that it may be away is one for all of them: when it is over, each fails at once, and what is reported while a run ends
holds nothing up.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

AWAY_SECONDS = 90.0
"""How long a server may be away. MOPD_SERVER_PATIENCE sets another time, in seconds."""
PAUSE_SECONDS = 1.0
TEMPORARY = "MOPD_TEMPORARY_SERVER"
"""Set in the environment of a process that started a server of its own."""
CLIENT_SETTINGS = {"PREFECT_CLIENT_MAX_RETRIES": "0", "PREFECT_API_REQUEST_TIMEOUT": "20"}
"""Of Prefect's client: it tries once, and we go on; a server that accepts a request and never answers is away too."""
BUSY = (408, 429, 502, 503)
"""Answers of a server, or of what stands before it, that is there and can't answer now."""


class ServerGone(RuntimeError):
    """Prefect's server has been away for longer than a run waits."""


class Patience:
    """Since when the server has been away, and whether it is given up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._away_since: float | None = None
        self.given_up = False

    def begin(self) -> None:
        """A command begins: whatever was before it doesn't count."""
        self._away_since, self.given_up = None, False
        _mute(False)

    def answered(self) -> None:
        """The server is there."""
        with self._lock:
            self._away_since = None

    def missed(self, since: float, error: str) -> None:
        """A request that began at `since` brought nothing. Raises ServerGone when that has gone on for too long."""
        with self._lock:
            self._away_since = min(self._away_since or since, since)
            away = time.monotonic() - self._away_since
            if away >= patience_seconds() and not self.given_up:
                self.given_up = True
                _mute(True)
        self.raise_if_given_up(error)

    def raise_if_given_up(self, error: str = "it was away before") -> None:
        """Raises ServerGone."""
        if self.given_up:
            raise ServerGone(f"{gone()} ({error})")


def _mute(muted: bool) -> None:
    """Prefect's log goes to its server: what can't be sent would be told on the terminal, message by message."""
    logging.disable(logging.CRITICAL if muted else logging.NOTSET)
    logging.raiseExceptions = not muted


PATIENCE = Patience()


def patience_seconds() -> float:
    """How long the server may be away."""
    return float(os.environ.get("MOPD_SERVER_PATIENCE") or AWAY_SECONDS)


def gone() -> str:
    """In words."""
    return f"Prefect's server has not answered for {patience_seconds():.0f} s"


def is_temporary() -> bool:
    """Whether this process started its own server."""
    return TEMPORARY in os.environ


@functools.cache
def be_patient() -> None:
    """From here on, Prefect's clients in this process wait for their server."""
    from prefect.client import base

    for client in (base.PrefectHttpxSyncClient, base.PrefectHttpxAsyncClient):
        client.__init__ = _without_proxies(client.__init__)  # type: ignore[method-assign,assignment]
    base.PrefectHttpxSyncClient.send = _patient(base.PrefectHttpxSyncClient.send)  # type: ignore[method-assign]
    base.PrefectHttpxAsyncClient.send = _patiently(base.PrefectHttpxAsyncClient.send)  # type: ignore[method-assign]


def _without_proxies(init: Callable[..., None]) -> Callable[..., None]:
    """A client for loopback reads no proxies, which it would not use, and which it may not even understand."""

    @functools.wraps(init)
    def local_init(self: Any, *args: Any, **kwargs: Any) -> None:
        host = urlsplit(str(kwargs.get("base_url", ""))).hostname or ""
        if host in ("localhost", "::1") or host.startswith("127."):
            kwargs.setdefault("trust_env", False)
        init(self, *args, **kwargs)

    return local_init


def _patient(send: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(send)
    def patient_send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        while True:
            PATIENCE.raise_if_given_up()
            since = time.monotonic()
            try:
                answer = send(self, request, *args, **kwargs)
                if _is_answer(answer, since):
                    return answer
            except Exception as error:
                _missed(error, since)
            time.sleep(PAUSE_SECONDS)

    return patient_send


def _patiently(send: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(send)
    async def patient_send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        while True:
            PATIENCE.raise_if_given_up()
            since = time.monotonic()
            try:
                answer = await send(self, request, *args, **kwargs)
                if _is_answer(answer, since):
                    return answer
            except Exception as error:
                _missed(error, since)
            await asyncio.sleep(PAUSE_SECONDS)

    return patient_send


def _is_answer(answer: Any, since: float) -> bool:
    """Whether the server has dealt with a request; notes that it came to nothing where it is too busy."""
    if answer.status_code in BUSY:
        PATIENCE.missed(since, f"it answers {answer.status_code}")
        return False
    PATIENCE.answered()
    return True


def _missed(error: Exception, since: float) -> None:
    """Notes that a request came to nothing. Raises the error where it says that the server is there."""
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        if error.response.status_code not in BUSY:
            PATIENCE.answered()
            raise error
    elif not isinstance(error, httpx.TransportError) or isinstance(error, httpx.UnsupportedProtocol):
        raise error
    PATIENCE.missed(since, " ".join(str(error).split()) or type(error).__name__)
