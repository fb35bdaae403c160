"""A proxy on loopback before an object store, which loses replies, answers conflicts, or hides conditions from it."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Fault = Literal["lose the reply", "conflict", "no conditions", ""]
Choose = Callable[[str, str], Fault]
"""What goes wrong with a request, by its method and path."""
CONDITIONS = ("if-none-match", "if-match")
HOP = ("connection", "transfer-encoding", "content-length", "keep-alive")
CONFLICT = b"<Error><Code>ConditionalRequestConflict</Code><Message>Try again.</Message></Error>"


class Faults:
    """What a test chooses, and what happened."""

    def __init__(self) -> None:
        self.choose: Choose = lambda method, path: ""
        self.happened: list[tuple[str, str]] = []
        self.lock = threading.Lock()

    def once(self, fault: Fault, method: str, pattern: str) -> None:
        """Let one request go wrong: the next one of that method whose path has that in it."""

        def choose(asked: str, path: str) -> Fault:
            with self.lock:
                if asked != method or not re.search(pattern, path) or self.happened:
                    return ""
                self.happened.append((asked, path))
                return fault

        self.happened.clear()
        self.choose = choose


@contextmanager
def faulty(endpoint: str) -> Iterator[tuple[str, Faults]]:
    """The proxy's endpoint, and what goes wrong there: nothing, at first."""
    faults, host = Faults(), endpoint.partition("://")[2]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            fault = faults.choose(self.command, self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if fault == "conflict":
                self._answer(409, [], CONFLICT)
                return
            kept = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
            if fault == "no conditions":
                kept = {name: value for name, value in kept.items() if name.lower() not in CONDITIONS}
            upstream = http.client.HTTPConnection(host, timeout=30)
            upstream.request(self.command, self.path, body or None, kept)
            reply = upstream.getresponse()
            content = reply.read()
            upstream.close()
            if fault == "lose the reply":
                self.close_connection = True
                self.connection.close()
                return
            self._answer(reply.status, reply.getheaders(), content)

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response_only(status)
            length = next((value for name, value in headers if name.lower() == "content-length"), str(len(content)))
            for name, value in headers:
                if name.lower() not in HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", length if self.command == "HEAD" else str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _forward

        def log_message(self, *_: Any) -> None:
            pass

        def handle(self) -> None:
            with suppress(OSError, ValueError):  # its connection was closed on purpose
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", faults
    finally:
        server.shutdown()
        server.server_close()
