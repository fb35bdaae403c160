"""Fixtures of the storage tests."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.fixtures import SubRequest

from storage.runs import RunFolder
from tests.object_servers import ENVIRONMENT, moto, new_bucket, seaweed

SETTINGS = {"seed": 1, "train": {"learning_rate": 1e-5}}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """An empty run."""
    return RunFolder.create(tmp_path / "run", {"settings": SETTINGS})


@pytest.fixture(scope="session", params=["moto", pytest.param("seaweed", marks=pytest.mark.cluster)])
def object_server(request: SubRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of an object store."""
    with moto() if request.param == "moto" else seaweed(tmp_path_factory.mktemp("weed")) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def whole_bucket(object_server: str) -> str:
    """Its name: each further bucket takes volumes of its own of a small server."""
    return new_bucket(object_server)


@pytest.fixture
def bucket(object_server: str, whole_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty place in a bucket, `s3://…`; the environment leads to it."""
    here = {"AWS_ENDPOINT_URL": object_server, "MOPD_CACHE": str(tmp_path / "cache")}
    for name, value in {**ENVIRONMENT, **here}.items():
        monkeypatch.setenv(name, value)
    return f"s3://{whole_bucket}/{uuid.uuid4().hex}"


@pytest.fixture
def remote(bucket: str) -> RunFolder:
    """An empty run in a bucket."""
    return RunFolder.create(f"{bucket}/run", {"settings": SETTINGS})
