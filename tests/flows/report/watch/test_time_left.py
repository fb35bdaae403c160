"""How long a run still takes follows from what its finished rounds took."""

from __future__ import annotations

from typing import Any

import pytest

from flows.report.watch.time_left import time_left

START = "2026-11-29T08:00:00+00:00"


def stage(done: int, seconds: float, shards: int = 4) -> dict[str, Any]:
    return {"shards_done": done, "shards": shards, "seconds": seconds}


def entry(round: int, seconds: int, *, generate: int = 4, score: int = 4) -> dict[str, Any]:
    """A round in which a shard is sampled in a second, and scored in three."""
    stages = {"generate": stage(generate, 1.0 * generate), "score": stage(score, 3.0 * score)}
    whole = generate == score == 4
    ended = f"2026-11-29T08:{seconds // 60:02d}:{seconds % 60:02d}+00:00" if generate else None
    return {"round": round, "finished": whole, "began": START if generate else None, "ended": ended, "stages": stages}


def status(*rounds: dict[str, Any], evaluations: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"rounds": list(rounds), "evaluations": evaluations or []}


def evaluation(policy: int, seconds: int | None) -> dict[str, Any]:
    ended = None if seconds is None else f"2026-11-29T08:00:{seconds:02d}+00:00"
    return {"policy": policy, "finished": seconds is not None, "began": ended and START, "ended": ended}


def test_nothing_is_known_before_a_round_is_finished() -> None:
    assert time_left(status(entry(0, 20, score=3), entry(1, 0, generate=0, score=0)), {}) is None


def test_a_round_to_come_takes_what_finished_ones_took_in_the_median() -> None:
    rounds = [entry(0, 40), entry(1, 2400), entry(2, 44), entry(3, 0, generate=0, score=0)]
    assert time_left(status(*rounds), {}) == 44.0  # the second one was interrupted for long


@pytest.mark.parametrize(("done", "part", "left"), [(0, 0.0, 30.0), (2, 0.0, 15.0), (2, 1.0, 7.5), (4, 0.0, 0.0)])
def test_one_at_work_takes_its_share_that_is_left(done: int, part: float, left: float) -> None:
    now = {**entry(1, 40, score=done), "finished": False}
    assert time_left(status(entry(0, 40), now), {(1, "score"): part}) == pytest.approx(left)


def test_evaluations_take_what_others_took() -> None:
    evaluations = [evaluation(0, 6), evaluation(1, None), evaluation(2, None)]
    assert time_left(status(entry(0, 40), evaluations=evaluations), {}) == 12.0
    assert time_left(status(entry(0, 40), evaluations=evaluations[1:]), {}) == 0.0
