"""Which pools hold devices: one after another, or all beside each other where there is room."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flows.execute import device_pools
from flows.execute.device_pools import DevicePools
from mopd.settings import parse_settings


@dataclass
class FakePool:
    name: str
    devices: int = 1
    size: int = 1
    ended: list[str] = field(default_factory=list)
    may_close: threading.Event | None = None

    def run(self, job: Any, *args: Any) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        if self.may_close is not None:
            assert self.may_close.wait(60)
        self.ended.append("closed")

    def kill(self) -> None:
        self.ended.append("killed")


@pytest.fixture(autouse=True)
def own_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOPD_TEMPORARY_SERVER", "1")


def pools_of(path: Path, keep: str) -> DevicePools:
    folder = cast(Any, SimpleNamespace(path=path, document={}))
    return DevicePools(parse_settings({"place": {"keep_resident": keep}}), folder)


def hold(pools: DevicePools, name: str, asked: Any = None, *, devices: int = 1, is_kept: bool = True) -> FakePool:
    pool = pools.hold(name, asked, lambda: FakePool(name, devices), is_kept=is_kept)
    return cast(FakePool, pool)


def test_what_is_kept_waits_for_its_next_stage(tmp_path: Path) -> None:
    pools = pools_of(tmp_path, "always")
    engine = hold(pools, "engine")
    pools.release()
    scorer = hold(pools, "scorer")
    pools.release()
    assert hold(pools, "engine") is engine and not engine.ended and not scorer.ended
    assert pools.held() == {"pool": "engine", "devices": 1}
    pools.close()
    assert (engine.ended, scorer.ended, pools.held()) == (["closed"], ["closed"], None)


def test_what_nothing_wants_any_more_ends_with_its_stage(tmp_path: Path) -> None:
    pools = pools_of(tmp_path, "always")
    engine = hold(pools, "engine")
    pools.release(is_wanted=True)
    assert hold(pools, "engine") is engine
    pools.release(is_wanted=False)
    assert hold(pools, "engine") is not engine
    pools.close()
    assert engine.ended == ["closed"]


def test_what_is_not_kept_ends_with_its_stage_and_leaves_the_others(tmp_path: Path) -> None:
    pools = pools_of(tmp_path, "always")
    engine = hold(pools, "engine")
    trainer = hold(pools, "trainer of policy 0", is_kept=False)
    pools.release()
    assert hold(pools, "engine") is engine and engine.ended == []
    pools.close()
    assert (engine.ended, trainer.ended) == (["closed"], ["closed"])


def test_where_there_is_room_one_ends_while_the_next_stage_works(tmp_path: Path) -> None:
    pools = pools_of(tmp_path, "always")
    engine = hold(pools, "engine")
    trainer = hold(pools, "trainer of policy 0", is_kept=False)
    trainer.may_close = threading.Event()
    pools.release()
    assert hold(pools, "engine") is engine and not trainer.ended
    trainer.may_close.set()
    pools.close()
    assert trainer.ended == ["closed"]


def test_a_run_that_fails_ends_those_too_that_were_ending(tmp_path: Path) -> None:
    pools = pools_of(tmp_path, "always")
    trainer = hold(pools, "trainer of policy 0", is_kept=False)
    trainer.may_close = threading.Event()
    pools.release()
    pools.kill()
    assert trainer.ended == ["killed"]
    trainer.may_close.set()
    pools.close()


def test_other_settings_make_another_pool(tmp_path: Path) -> None:
    pools = pools_of(tmp_path, "always")
    engine = hold(pools, "engine", asked="long replies")
    assert hold(pools, "engine", asked="short replies") is not engine and engine.ended == ["closed"]


def test_without_room_one_ends_before_the_next(tmp_path: Path) -> None:
    pools = pools_of(tmp_path, "never")
    engine = hold(pools, "engine")
    assert hold(pools, "engine") is engine  # for the stage that follows at once
    scorer = hold(pools, "scorer")
    assert (engine.ended, scorer.ended) == (["closed"], [])
    pools.release()
    assert scorer.ended == ["closed"]


def test_when_memory_runs_out_the_others_end_and_nothing_is_kept_any_more(tmp_path: Path) -> None:
    pools = pools_of(tmp_path, "always")
    engine, scorer = hold(pools, "engine"), hold(pools, "scorer")
    assert pools.end_others() and (engine.ended, scorer.ended) == (["closed"], [])
    assert not pools.end_others()
    hold(pools, "engine")
    assert scorer.ended == ["closed"]


def test_who_needs_more_devices_has_them_alone(tmp_path: Path) -> None:
    pools = pools_of(tmp_path, "always")
    scorer = hold(pools, "scorer")
    hold(pools, "engine", devices=4)
    assert scorer.ended == ["closed"]
    assert hold(pools, "scorer") is not scorer and pools.held() == {"pool": "scorer", "devices": 1}


def test_where_runs_share_devices_nothing_is_kept_unless_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_pools, "device_slots", lambda number, folder: nullcontext(True))
    monkeypatch.setattr(device_pools, "in_own_process", lambda check, settings: True)
    for keep, is_kept in (("auto", False), ("always", True)):
        pools = pools_of(tmp_path, keep)
        engine = hold(pools, "engine")
        pools.release()
        assert (not engine.ended) == is_kept


def test_a_run_that_fails_ends_all_of_them_now(tmp_path: Path) -> None:
    pools = pools_of(tmp_path, "always")
    engine, scorer = hold(pools, "engine"), hold(pools, "scorer")
    pools.kill()
    assert (engine.ended, scorer.ended) == (["killed"], ["killed"])


def test_whether_there_is_room_is_asked_of_the_commits_that_the_run_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name without one would ask the hub again."""
    asked: list[str] = []
    monkeypatch.setattr(
        device_pools, "in_own_process", lambda check, settings: asked.append(settings.model.path) or False
    )
    settings = parse_settings({"model": {"path": "acme/student"}})
    document = {"hub": {"acme/student": "0" * 40}}
    pools = DevicePools(settings, cast(Any, SimpleNamespace(path=tmp_path, document=document)))
    assert not pools.keeps
    assert asked == [f"acme/student@{'0' * 40}"]
