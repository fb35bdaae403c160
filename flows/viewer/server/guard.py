"""Who is answered: whoever was given the token, from the page itself, under a name of this host.

The page is for everybody: it has no data, and reads the token in its address, behind the `#` that no browser sends. It
keeps it for its origin. A cookie would be sent to every port of this host, so to servers of other users.
A page of somebody else's in the same browser can neither read nor ask anything: it lacks the token, its `Origin` is
another one, and a name that it makes lead here (DNS rebinding) is no name of this host.
"""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""Of any port: one that ssh forwards may be another one."""
METHODS = frozenset({"GET", "HEAD", "POST"})
PAGE, ICON = "/", "/favicon.ico"
"""What browsers ask for by themselves, without the token."""
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
NO_PAGE = "default-src 'none'; frame-ancestors 'none'"
NO_TOKEN = "open the address that mopd view has printed: it has a token, another one at each start"
PAGE_POLICY = "frame-ancestors 'none'"
"""Beside the policy that the page has inside, which can't say this."""


class Guard:
    """An application behind it is asked by nobody else; what it answers stays in the page."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            return
        refusal = self._refuse(scope, Headers(scope=scope))
        app = self._app if refusal is None else refusal
        await app(scope, receive, _with_headers(send))

    def _refuse(self, scope: Scope, headers: Headers) -> PlainTextResponse | None:
        host = headers.get("host", "")
        if host.rpartition(":")[0] not in HOSTS and host not in HOSTS:
            return PlainTextResponse("this host is not called so", 421)
        if headers.get("origin", f"http://{host}") != f"http://{host}":
            return PlainTextResponse("no other page may ask", 403)
        if scope["method"] not in METHODS:
            return PlainTextResponse("nothing can be written here", 405, {"Allow": ", ".join(sorted(METHODS))})
        if scope["path"] not in (PAGE, ICON) and not self._has_token(headers):
            return PlainTextResponse(NO_TOKEN, 403)
        return None

    def _has_token(self, headers: Headers) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return scheme == "Bearer" and hmac.compare_digest(token.encode(), self._token.encode())


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            is_page = headers.get("content-type", "").startswith("text/html")
            headers.update({**SAFE_HEADERS, "Content-Security-Policy": PAGE_POLICY if is_page else NO_PAGE})
        await send(message)

    return send_with_headers
