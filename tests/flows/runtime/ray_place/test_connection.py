"""Joining a cluster that is not there in full."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from flows.runtime.ray_place import connection
from mopd.errors import InputError


class NeverJoins:
    """Ray, of which `init` waits for a host that is out of reach."""

    def __init__(self) -> None:
        self.end = threading.Event()

    def init(self, **_: Any) -> None:
        self.end.wait()


def test_a_cluster_that_takes_no_driver_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "JOIN_SECONDS", 0.2)
    ray = NeverJoins()
    with pytest.raises(InputError, match="it answers, and takes no driver within 0 s"):
        connection._initialize(ray, "10.0.0.1:6379")
    ray.end.set()
