"""Who is answered: the browser that was given the token, from the page itself, under a name of this host.

A page of somebody else's in the same browser can neither read nor ask anything: it lacks the cookie
(`SameSite=Strict`), its `Origin` is another one, and a name that it makes lead here (DNS rebinding) is no name of this
host.
"""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""Of any port: one that ssh forwards may be another one."""
METHODS = frozenset({"GET", "HEAD", "POST"})
OPEN = "/favicon.ico"
"""What browsers ask for by themselves."""
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
NO_PAGE = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY = "frame-ancestors 'none'"
"""Beside the policy that the page has inside, which can't say this."""


class Guard:
    """An application behind it is asked by nobody else; what it answers stays in the page."""

    def __init__(self, app: ASGIApp, token: str, cookie: str) -> None:
        """`cookie`: its name; browsers send cookies to every port of a host."""
        self._app, self._token, self._cookie = app, token, cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            return
        headers, query = Headers(scope=scope), QueryParams(scope["query_string"])
        refusal = self._refuse(scope, headers, query)
        app = self._app if refusal is None else refusal
        await app(scope, receive, self._with_headers(send, gives_cookie=refusal is None and "token" in query))

    def _refuse(self, scope: Scope, headers: Headers, query: QueryParams) -> PlainTextResponse | None:
        host = headers.get("host", "")
        if host.rpartition(":")[0] not in HOSTS and host not in HOSTS:
            return PlainTextResponse("this host is not called so", 421)
        if headers.get("origin", f"http://{host}") != f"http://{host}":
            return PlainTextResponse("no other page may ask", 403)
        if scope["method"] not in METHODS:
            return PlainTextResponse("nothing can be written here", 405, {"Allow": ", ".join(sorted(METHODS))})
        if scope["path"] != OPEN and not any(map(self._is_token, self._tokens(headers, query))):
            return PlainTextResponse("open the address that mopd view has printed: it has a token", 403)
        return None

    def _tokens(self, headers: Headers, query: QueryParams) -> list[str]:
        """What was given as one: in the address, by the cookie, or as programs do."""
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        return [query.get("token", ""), _read_cookie(headers, self._cookie), bearer if scheme == "Bearer" else ""]

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())

    def _with_headers(self, send: Send, *, gives_cookie: bool) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                is_page = headers.get("content-type", "").startswith("text/html")
                headers.update({**SAFE_HEADERS, "Content-Security-Policy": PAGE_POLICY if is_page else NO_PAGE})
                if gives_cookie:
                    headers.append("Set-Cookie", f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict")
            await send(message)

        return send_with_headers


def _read_cookie(headers: Headers, name: str) -> str:
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[name].value if name in cookies else ""
