"""A small hub on loopback: what the hub's own client asks of huggingface.co, with faults that a test can switch on."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE_ENDINGS = (".safetensors", ".bin", ".parquet")
"""Files that a real hub keeps elsewhere: they are asked for by a redirect."""
CHUNK = 1 << 14


@dataclass
class Repository:
    """Commits by their hash, and the names of some."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    readers: set[str] | None = None
    """Tokens that may read it; None: everybody."""
    gated: bool = False
    """Whether those who may not read it are told that it is there."""
    private: bool = False


@dataclass
class Hub:
    """The repositories of a server, what was asked of it, and what it shall do wrong."""

    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path, and what part of a file."""
    drops: list[int] = field(default_factory=list)
    """For each of the next large files: bytes after which the connection is dropped."""
    broken: int | None = None
    """What it answers to everything."""
    faults: dict[str, int] = field(default_factory=dict)
    """By part of a path: what it answers to the next request that writes there."""
    silent: set[str] = field(default_factory=set)
    """Parts of paths: the next request that writes there is done, and the connection closed without an answer."""
    uploads: dict[str, bytes] = field(default_factory=dict)
    """Large files that were sent, by their sha256."""
    port: int = 0

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def stored_url(self) -> str:
        """Where large files lie: for the client, on another host."""
        return f"http://localhost:{self.port}"

    def push(self, repo: str, files: Mapping[str, bytes], *, kind: str = "model", branch: str = "main") -> str:
        """A new commit on a branch; returns its hash."""
        repository = self.repositories.setdefault((kind, repo), Repository())
        content = "".join(f"{name} {hashlib.sha1(data).hexdigest()}\n" for name, data in sorted(files.items()))
        commit = hashlib.sha1(f"{len(repository.commits)}\n{content}".encode()).hexdigest()
        repository.commits[commit] = dict(files)
        repository.refs[branch] = commit
        return commit

    def push_folder(self, repo: str, folder: Path, *, changed: Mapping[str, bytes] | None = None) -> str:
        """A commit of a folder's files, some of them with other content."""
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        return self.push(repo, files | dict(changed or {}))

    def loaded(self) -> set[str]:
        """The files that were sent, by their paths in the repository."""
        return {
            path.partition("/resolve/")[2].partition("/")[2]
            for method, path, _ in self.requests
            if method == "GET" and "/resolve/" in path
        }


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path, self.headers.get("Range")))
        if self.hub.broken is not None:
            self.refuse(self.hub.broken, None)
        elif stored := re.fullmatch(r"/stored/([0-9a-f]{64})", path):
            self._send_large(self._blob(stored[1]), body=body)
        elif api := re.fullmatch(r"/api/(model|dataset)s/([^/]+/[^/]+)(?:/(revision|tree)/(.+))?", path):
            self._api(*api.groups())
        elif file := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve("dataset" if file[1] else "model", *file.groups()[1:], body=body)
        else:
            self.refuse(404, "EntryNotFound")

    def _api(self, kind: str, repo: str, action: str | None, revision: str | None) -> None:
        commit = self.find_commit(kind, repo, revision or "main", listing=True)
        if commit is None:
            return
        files = self.hub.repositories[kind, repo].commits[commit]
        if action == "tree":
            self.send_json([_entry(name, data) for name, data in files.items()])
        else:
            private = self.hub.repositories[kind, repo].private
            siblings = [{"rfilename": name} for name in files]
            self.send_json({"id": repo, "sha": commit, "siblings": siblings, "private": private, "tags": []})

    def _resolve(self, kind: str, repo: str, revision: str, name: str, *, body: bool) -> None:
        commit = self.find_commit(kind, repo, revision, listing=False)
        if commit is None:
            return
        data = self.hub.repositories[kind, repo].commits[commit].get(name)
        if data is None:
            self.refuse(404, "EntryNotFound", {"X-Repo-Commit": commit})
            return
        headers = {"X-Repo-Commit": commit, "ETag": f'"{git_hash(data)}"'}
        if name.endswith(LARGE_ENDINGS):
            digest = hashlib.sha256(data).hexdigest()
            linked = {"X-Linked-Size": str(len(data)), "X-Linked-ETag": f'"{digest}"'}
            self._send(302, b"", headers | linked | {"Location": f"{self.hub.stored_url}/stored/{digest}"}, body=body)
        else:
            self._send(200, data, headers, body=body)

    def find_commit(self, kind: str, repo: str, revision: str, *, listing: bool) -> str | None:
        """The commit, where the asker may see it; else the answer is sent."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        repository = self.hub.repositories.get((kind, repo))
        if token is not None and token not in self.hub.tokens:
            self.refuse(401, None, {"X-Error-Message": "Invalid credentials in Authorization header"})
        elif repository is not None and repository.gated and not listing and token not in (repository.readers or ()):
            self.refuse(401 if token is None else 403, "GatedRepo")
        elif repository is None or (
            repository.readers is not None and not repository.gated and token not in repository.readers
        ):
            self.refuse(401 if token is None else 404, "RepoNotFound")
        elif (commit := repository.refs.get(revision, revision)) not in repository.commits:
            self.refuse(404, "RevisionNotFound")
        else:
            return commit
        return None

    def _blob(self, digest: str) -> bytes:
        commits = [files for repo in self.hub.repositories.values() for files in repo.commits.values()]
        return next(data for files in commits for data in files.values() if hashlib.sha256(data).hexdigest() == digest)

    def _send_large(self, data: bytes, *, body: bool) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        first = int(wanted[1]) if wanted else 0
        headers = {"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"} if wanted else {}
        until = self.hub.drops.pop(0) if body and self.hub.drops else None
        self._send(206 if wanted else 200, data[first:], headers, body=body, until=until)

    def send_json(self, document: Any, status: int = 200) -> None:
        """The answer is JSON."""
        self._send(status, json.dumps(document).encode(), {"Content-Type": "application/json"}, body=True)

    def refuse(self, status: int, code: str | None, headers: Mapping[str, str] | None = None) -> None:
        """The answer is an error, by the hub's name for it where it has one."""
        coded = {"X-Error-Code": code} if code else {}
        self._send(status, b"", {**coded, **(headers or {})}, body=False)

    def _send(
        self, status: int, data: bytes, headers: Mapping[str, str], *, body: bool, until: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if not body:
            return
        for start in range(0, len(data[:until]), CHUNK):
            self.wfile.write(data[:until][start : start + CHUNK])
        if until is not None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()


@contextmanager
def serve_hub(handler: type[Handler] = Handler) -> Iterator[Hub]:
    """A running server, until the block ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("HubHandler", (handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.port = server.server_port
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def _entry(name: str, data: bytes) -> dict[str, Any]:
    entry = {"type": "file", "path": name, "size": len(data), "oid": git_hash(data)}
    if name.endswith(LARGE_ENDINGS):
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return entry


def git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
