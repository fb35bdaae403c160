"""What a replica has loaded: one policy after another, in place or anew."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from flows.execute import work
from flows.execute.work import Loaded, sample_shard

SETTINGS = cast(Any, "settings")


class Engine:
    def __init__(self, version: int, renews: bool) -> None:
        self.versions, self.renews, self.closed = [version], renews, False

    def renew(self, folder: Any, settings: Any, version: int) -> bool:
        if self.renews:
            self.versions.append(version)
        return self.renews

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is loaded, in its order; policy 1 can't be, at first."""
    engines: list[Any] = []

    def load(folder: Any, settings: Any, version: int) -> Engine:
        if version == 1 and len(engines) == 1:
            engines.append(None)
            raise OSError("no policy 1 yet")
        engines.append(Engine(version, renews=version > 1))
        return engines[-1]

    monkeypatch.setattr(work, "load_function", lambda name: load)
    return engines


def test_a_policy_is_loaded_by_the_first_job_that_wants_it(made: list[Any]) -> None:
    loaded = Loaded("engine", cast(Any, "folder"))
    assert made == []
    assert loaded.of_policy(SETTINGS, 2) is loaded.of_policy(SETTINGS, 2) is made[0]


def test_the_next_one_is_taken_in_place_by_what_can(made: list[Any]) -> None:
    loaded = Loaded("engine", cast(Any, "folder"))
    assert loaded.of_policy(SETTINGS, 2) is loaded.of_policy(SETTINGS, 3)
    assert made[0].versions == [2, 3] and not made[0].closed


def test_and_else_in_place_of_what_was_closed(made: list[Any]) -> None:
    loaded = Loaded("engine", cast(Any, "folder"))
    first, second = loaded.of_policy(SETTINGS, 0), loaded.of_policy(SETTINGS, 2)
    assert (first.closed, second.versions) == (True, [2])


@pytest.mark.parametrize("children", [[], ["a process of the engine"]])
def test_at_the_end_an_engine_with_processes_of_its_own_is_told(
    made: list[Any], children: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Loaded("engine", cast(Any, "folder"))
    engine = loaded.of_policy(SETTINGS, 0)
    monkeypatch.setattr(work.multiprocessing, "active_children", lambda: children)
    loaded.close()
    assert engine.closed == bool(children)


def test_after_a_failure_it_is_loaded_again(made: list[Any]) -> None:
    loaded = Loaded("engine", cast(Any, "folder"))
    loaded.of_policy(SETTINGS, 0)
    with pytest.raises(OSError, match="no policy 1 yet"):
        loaded.of_policy(SETTINGS, 1)
    assert loaded.of_policy(SETTINGS, 1).versions == [1]


def test_what_loading_takes_is_none_of_the_shards_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def takes(seconds: float) -> list[Any]:
        now[0] += seconds
        return []

    jobs = {"engine": lambda *_: takes(10.0), "job": lambda *_: takes(2.0)}
    monkeypatch.setattr(work, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(work, "load_function", jobs.__getitem__)
    folder, shard = cast(Any, "folder"), cast(Any, SimpleNamespace(settings=SETTINGS, round=0, table="rollouts"))
    assert sample_shard(Loaded("engine", folder), print, "job", folder, shard).seconds == 2.0
