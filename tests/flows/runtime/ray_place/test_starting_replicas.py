"""Replicas that die while they start, without a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flows.runtime.ray_place.pool import MOST_FAILED_STARTS, RayPool
from flows.runtime.worker import WorkerDied


class Replica:
    """Dies with its host before it is ready, or does what it is told."""

    def __init__(self, number: int, *, dies: bool) -> None:
        self.number, self.is_dead, self._dies = number, False, dies

    def is_ready(self) -> bool:
        self.is_dead = self._dies
        if self._dies:
            raise WorkerDied("its node has died")
        return True

    def answers(self) -> bool:
        return not self.is_dead

    def run(self, job: Callable[..., Any], *args: Any, **_: Any) -> Any:
        return job(*args)


def pool_of(*dies: bool) -> RayPool:
    """A pool of one, whose replicas begin one after the other."""
    replicas = iter(dies)
    make: Any = lambda number: Replica(number, dies=next(replicas))  # noqa: E731
    return RayPool("engine", lambda: 1, make, patience=5)


def test_a_replica_that_dies_with_its_host_while_it_starts_costs_no_job_a_retry() -> None:
    assert pool_of(*[True] * (MOST_FAILED_STARTS - 1), False).run(abs, -3) == 3


def test_where_none_can_start_the_last_death_is_told() -> None:
    with pytest.raises(WorkerDied, match="its node has died"):
        pool_of(*[True] * MOST_FAILED_STARTS).run(abs, -3)
