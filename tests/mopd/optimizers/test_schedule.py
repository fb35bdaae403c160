"""The learning rate by hand."""

from __future__ import annotations

from math import cos, pi

import pytest

from mopd.optimizers.schedule import learning_rate, updates_of_run
from mopd.settings import parse_settings


def rates(schedule: str, warmup: int, updates: int) -> list[float]:
    train = {"schedule": schedule, "warmup_steps": warmup, "learning_rate": 1.0}
    chosen = parse_settings({"rounds": updates, "train": train})
    total = updates_of_run(chosen)
    return [learning_rate(chosen.train, step=n, update=n, num_updates=total) for n in range(updates)]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("linear", [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]),
        ("cosine", [0.5, 1.0, 1.0, (1 + cos(pi / 4)) / 2, 0.5, (1 + cos(3 * pi / 4)) / 2]),
    ],
)
def test_the_rate_rises_and_falls(schedule: str, expected: list[float]) -> None:
    assert rates(schedule, warmup=2, updates=6) == pytest.approx(expected, rel=1e-15)


def test_a_warm_up_as_long_as_the_run_is_followed_by_nothing() -> None:
    assert rates("linear", warmup=4, updates=4) == [0.25, 0.5, 0.75, 1.0]


def test_an_update_without_a_step_is_a_part_of_the_run_and_not_of_the_warm_up() -> None:
    train = parse_settings({"train": {"schedule": "linear", "warmup_steps": 2, "learning_rate": 1.0}}).train
    assert learning_rate(train, step=0, update=4, num_updates=6) == 0.5 * 0.5


def test_a_run_has_its_rounds_times_epochs_times_updates() -> None:
    tree = {"rounds": 3, "generate": {"num_prompts": 4}, "train": {"epochs": 2, "updates_per_round": 4}}
    assert updates_of_run(parse_settings(tree)) == 24
