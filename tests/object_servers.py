"""Object stores on loopback, for tests: `moto` in this process, and SeaweedFS, a real one, as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

KEY, SECRET = "tester", "secret-of-tester"
READER, READER_SECRET = "reader", "secret-of-reader"
"""May read, and write nothing."""
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}
ENDPOINT, CACHE = "AWS_ENDPOINT_URL", "MOPD_CACHE"
START_SECONDS = 60


def new_bucket(endpoint: str) -> str:
    """A fresh bucket; its name."""
    from pyarrow.fs import S3FileSystem

    scheme, _, host = endpoint.partition("://")
    system = S3FileSystem(
        access_key=KEY,
        secret_key=SECRET,
        region="us-east-1",
        scheme=scheme,
        endpoint_override=host,
        allow_bucket_creation=True,
    )
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    system.create_dir(name)
    return name


@contextmanager
def moto() -> Iterator[str]:
    """moto's server, in a thread; its endpoint. It looks at a condition, then writes: writes come one by one here."""
    import logging

    from moto.s3.responses import S3Response
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    put, one_by_one = S3Response.put_object, threading.Lock()

    def put_alone(self: S3Response) -> Any:
        with one_by_one:
            return put(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(S3Response, "put_object", put_alone)
        server.start()
        host, port = server.get_host_and_port()
        try:
            yield f"http://{host}:{port}"
        finally:
            server.stop()


@contextmanager
def seaweed_in_environment(factory: pytest.TempPathFactory) -> Iterator[str]:
    """SeaweedFS, to which the environment of this process leads meanwhile, with copies in a folder of their own."""
    with seaweed(factory.mktemp("weed")) as endpoint, pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENVIRONMENT, ENDPOINT: endpoint, CACHE: str(factory.mktemp("cache"))}.items():
            patch.setenv(name, value)
        yield endpoint


def store_environment() -> dict[str, str]:
    """Of `seaweed_in_environment`: the variables that lead to the store."""
    return {name: os.environ[name] for name in (*ENVIRONMENT, ENDPOINT, CACHE)}


@contextmanager
def seaweed(folder: Path, *, volumes: int = 50) -> Iterator[str]:
    """SeaweedFS with all its files in `folder`, `volumes` of 64 MiB at most; its endpoint."""
    ports = dict(zip(("master", "volume", "filer", "s3"), _free_ports(4), strict=True))
    (folder / "s3.json").write_text(json.dumps(_identities()))
    command = [str(Path(sys.executable).with_name("weed")), "server", "-s3", "-filer", "-ip=127.0.0.1"]
    command += ["-ip.bind=127.0.0.1", f"-dir={folder}", f"-s3.config={folder / 's3.json'}", "-master.telemetry=false"]
    command += [f"-{name}.port={port}" for name, port in ports.items()]
    command += [
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-volume.max={volumes}",
        "-master.volumeSizeLimitMB=64",
        "-master.volumePreallocate=false",
    ]
    with (folder / "weed.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True)
    try:
        endpoint = f"http://127.0.0.1:{ports['s3']}"
        _wait(server, endpoint)
        yield endpoint
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _identities() -> dict[str, object]:
    people = [(KEY, SECRET, ["Admin"]), (READER, READER_SECRET, ["Read", "List"])]
    return {
        "identities": [
            {"name": name, "credentials": [{"accessKey": name, "secretKey": secret}], "actions": actions}
            for name, secret, actions in people
        ]
    }


def _wait(server: subprocess.Popen[bytes], endpoint: str) -> None:
    """The port is open before the filer behind it is ready: wait for a bucket."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        assert server.poll() is None, "weed ended"
        try:
            urllib.request.urlopen(endpoint, timeout=2)
        except urllib.error.HTTPError:
            try:
                new_bucket(endpoint)
                return
            except OSError:
                pass
        except OSError:
            pass
        time.sleep(0.2)
    raise TimeoutError("weed did not start")


def _free_ports(count: int) -> list[int]:
    """Free ones whose gRPC neighbours (port + 10,000) are valid and free too."""
    ports: list[int] = []
    while len(ports) < count:
        with socket.socket() as low, socket.socket() as high:
            low.bind(("127.0.0.1", 0))
            port = low.getsockname()[1] % 20_000 + 20_000
            try:
                high.bind(("127.0.0.1", port + 10_000))
                with socket.socket() as here:
                    here.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports
