"""All ranks work on a job, rank 0 answers; a rank that dies takes the others along."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from flows.runtime.places import group as group_module
from flows.runtime.places.group import Meeting, RankGroup, environments, find_meeting
from flows.runtime.worker import Worker, WorkerDied, WorkerStopped, load_nothing
from mopd.errors import InputError
from tests.flows.runtime import worker_jobs as jobs


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Iterator[RankGroup]:
    monkeypatch.setattr(group_module, "GRACE_SECONDS", 1.0)
    group = RankGroup("test", 2, lambda rank: Worker(f"test-{rank}", load_nothing), meet=find_meeting)
    yield group
    group.kill()


def test_ranks_are_told_where_they_meet() -> None:
    found = environments([Meeting("a", "10.0.0.1", 7), Meeting("b", "10.0.0.2", 8), Meeting("a", "10.0.0.1", 9)])
    assert [one["RANK"] for one in found] == ["0", "1", "2"]
    assert [one["LOCAL_RANK"] for one in found] == ["0", "0", "1"]
    assert {(one["WORLD_SIZE"], one["MASTER_ADDR"], one["MASTER_PORT"]) for one in found} == {("3", "10.0.0.1", "7")}


def test_all_ranks_work_on_a_job_and_rank_0_answers(group: RankGroup) -> None:
    reports: list[dict[str, int]] = []
    assert group.run(jobs.add_ranks, 10, report=lambda report: reports.append(report) if report else None) == 21
    assert reports == [{"rank": 0}]


def test_a_rank_that_dies_ends_the_group_and_the_next_job_has_a_new_one(group: RankGroup) -> None:
    began = time.monotonic()
    with pytest.raises(WorkerDied):
        group.run(jobs.lose_rank, 1)
    assert time.monotonic() - began < 30
    assert group.run(jobs.add_ranks, 10) == 21


def test_what_a_rank_raises_is_raised(group: RankGroup) -> None:
    with pytest.raises(InputError, match="broken"):
        group.run(jobs.fail_rank, 1)


def test_what_the_first_rank_to_fail_raises_is_raised(group: RankGroup) -> None:
    with pytest.raises(InputError, match="broken"):
        group.run(jobs.break_down)


def test_ranks_that_are_made_while_their_group_is_killed_end_too() -> None:
    """Those of a Ray cluster start when they are made."""
    killed: list[str] = []

    class Rank:
        def kill(self) -> None:
            killed.append("killed")

    def make(rank: int) -> Any:
        if rank == 1:
            group.kill()
        return Rank()

    group = RankGroup("test", 2, make, meet=find_meeting)
    with pytest.raises(WorkerStopped):
        group.run(jobs.add_ranks, 10)
    assert killed == ["killed"] * 2


@pytest.mark.parametrize("rank", [0, 1])
def test_what_a_rank_raises_is_raised_while_others_wait_for_it(group: RankGroup, rank: int) -> None:
    """Not that the others lost their connection to it."""
    with pytest.raises(InputError, match="broken"):
        group.run(jobs.fail_joined_rank, rank)


def test_a_group_that_is_killed_is_over(group: RankGroup) -> None:
    begun = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        run = threads.submit(group.run, jobs.lose_rank, 7, report=lambda report: begun.set())  # no rank is lost
        assert begun.wait(30)
        group.kill()
        assert isinstance(run.exception(30), WorkerStopped)
    with pytest.raises(WorkerStopped):
        group.run(jobs.add_ranks, 10)
