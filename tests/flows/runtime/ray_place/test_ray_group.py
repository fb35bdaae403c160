"""Ranks that wait for room on a cluster; no Ray runs here."""

from __future__ import annotations

from typing import Any

import pytest

from flows.runtime.ray_place.pool import RayGroup
from flows.runtime.worker import WorkerStopped
from tests.flows.runtime import worker_jobs as jobs


class Gang:
    """A placement group that there is no room for."""

    def wait(self, seconds: float) -> bool:
        return False


def test_a_group_that_is_killed_while_it_waits_for_room_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    util = pytest.importorskip("ray.util")
    removed: list[Any] = []
    monkeypatch.setattr(util, "placement_group", lambda bundles, strategy: Gang())
    monkeypatch.setattr(util, "remove_placement_group", removed.append)

    def room() -> int:
        group.kill()
        return 2

    group = RayGroup("trainer", 2, {"GPU": 1.0}, make=lambda rank, gang: pytest.fail(), room=room, patience=5)
    with pytest.raises(WorkerStopped):
        group.run(jobs.add_ranks, 1)
    assert len(removed) == 1
