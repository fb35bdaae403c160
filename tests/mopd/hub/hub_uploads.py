"""The small hub's other side: what the hub's own client asks of it to put files into a repository.

Large files come by the protocol of Git LFS; the client does so where HF_HUB_DISABLE_XET=1.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from huggingface_hub import constants

from tests.mopd.hub.hub_server import LARGE_ENDINGS, Handler, Hub, Repository, git_hash, serve_hub

TOKEN = "hf_writer"
"""Of somebody who may write."""
FRONT_MATTER = re.compile(r"---\n(.*?)\n---\n", re.DOTALL)


class UploadHandler(Handler):
    """Answers those who write too: all who have a token of the hub, but into `denied`."""

    denied = "closed"
    """An organization that nobody may write to."""

    def do_POST(self) -> None:
        path = self._read()
        if (status := self._fault(path)) is not None:
            self.refuse(status, None)
        elif self._token() not in self.hub.tokens:
            self.refuse(401, None, {"X-Error-Message": "Invalid credentials in Authorization header"})
        elif path == "/api/repos/create":
            self._create()
        elif path == "/api/validate-yaml":
            self._validate()
        elif preupload := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", path):
            self._choose_modes(preupload[1])
        elif batch := re.fullmatch(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            self._give_places(batch[1])
        elif commit := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            self._commit(commit[1])
        else:
            self.refuse(404, "EntryNotFound")

    def do_PUT(self) -> None:
        path = self._read()
        digest = path.removeprefix("/upload/")
        if (status := self._fault(path)) is not None:
            self.refuse(status, None)
        elif hashlib.sha256(self.body).hexdigest() != digest:
            self.refuse(400, None)
        else:
            self.hub.uploads[digest] = self.body
            self.send_json({})

    def _read(self) -> str:
        """The path, once the body is read."""
        self.body = self._body()
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path, None))
        return path

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _token(self) -> str:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    def _fault(self, path: str) -> int | None:
        part = next((part for part in self.hub.faults if part in path), None)
        return None if part is None else self.hub.faults.pop(part)

    def _falls_silent(self) -> bool:
        parts = {part for part in self.hub.silent if part in self.path}
        self.hub.silent -= parts
        return bool(parts)

    def _create(self) -> None:
        asked = json.loads(self.body)
        repo = f"{asked['organization']}/{asked['name']}"
        if asked["organization"] == self.denied:
            self.refuse(403, None)
        elif ("model", repo) in self.hub.repositories:
            self.refuse(409, None)
        else:
            self.hub.repositories["model", repo] = Repository(private=asked.get("visibility") == "private")
            self.hub.push(repo, {".gitattributes": b"*.safetensors filter=lfs\n"})
            self.send_json({"url": f"{self.hub.url}/{repo}"})

    def _validate(self) -> None:
        """As the hub: front matter that is no mapping is refused."""
        match = FRONT_MATTER.match(json.loads(self.body)["content"])
        front = yaml.safe_load(match[1]) if match else None
        if isinstance(front, dict) and front.get("license") != "unheard-of":
            self.send_json({"errors": [], "warnings": []})
        else:
            self.send_json({"errors": [{"message": '"license" must be one of a list'}], "warnings": []}, status=400)

    def _choose_modes(self, repo: str) -> None:
        there = self._files(repo)
        if there is None:
            self.refuse(404, "RepoNotFound")
            return
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LARGE_ENDINGS) else "regular",
                "shouldIgnore": False,
                "oid": _object_id(file["path"], there[file["path"]]) if file["path"] in there else None,
            }
            for file in json.loads(self.body)["files"]
        ]
        self.send_json({"files": files})

    def _give_places(self, repo: str) -> None:
        objects: list[dict[str, Any]] = []
        for asked in json.loads(self.body)["objects"]:
            place = {"upload": {"href": f"{self.hub.stored_url}/upload/{asked['oid']}"}}
            objects.append({**asked, **({} if asked["oid"] in self.hub.uploads else {"actions": place})})
        self.send_json({"transfer": "basic", "objects": objects})

    def _commit(self, repo: str) -> None:
        lines = [json.loads(line) for line in self.body.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        repository = self.hub.repositories["model", repo]
        if header.get("parentCommit") not in (None, repository.refs["main"]):
            self.refuse(412, None)
            return
        files = dict(self._files(repo) or {})
        for key, value in ((line["key"], line["value"]) for line in lines):
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.hub.uploads[value["oid"]]
            elif key == "deletedFile":
                del files[value["path"]]
        commit = self.hub.push(repo, files)
        if self._falls_silent():
            self.close_connection = True
            return
        self.send_json({"commitUrl": f"{self.hub.url}/{repo}/commit/{commit}", "commitOid": commit, "success": True})

    def _files(self, repo: str) -> dict[str, bytes] | None:
        repository = self.hub.repositories.get(("model", repo))
        return None if repository is None else repository.commits[repository.refs["main"]]


@contextmanager
def writable_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub to which this process is led, with a token that may write."""
    with serve_hub(UploadHandler) as hub:
        hub.tokens.add(TOKEN)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub


def newest_files(hub: Hub, repo: str) -> dict[str, bytes]:
    """Those of a model's main branch."""
    repository = hub.repositories["model", repo]
    return repository.commits[repository.refs["main"]]


def _object_id(name: str, data: bytes) -> str:
    """What the client takes to mean that a file has not changed."""
    return hashlib.sha256(data).hexdigest() if name.endswith(LARGE_ENDINGS) else git_hash(data)
