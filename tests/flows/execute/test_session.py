"""Which processes a stage is given."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flows.execute.session import Run, Workers
from flows.plan.stage import STAGES
from flows.runtime.console import Console
from flows.runtime.places import devices
from flows.runtime.worker import load_nothing
from mopd.errors import InputError
from mopd.settings import parse_settings
from tests.flows.plan.test_plan import commit, run_of


@pytest.fixture(autouse=True)
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "visible_gpus", lambda: ("0", "1", "2", "3"))
    monkeypatch.setenv("MOPD_TEMPORARY_SERVER", "1")


@pytest.mark.parametrize(
    ("replicas", "sizes", "kept"),
    [
        ({}, [4, 4, 4], True),
        ({"evaluate": 1}, [1, 4, 4], False),
        ({"evaluate": 1, "generate": 2}, [1, 2, 2], False),
        ({"evaluate": 2, "generate": 2}, [2, 2, 2], True),
    ],
)
def test_an_engine_stays_for_the_next_stage_unless_that_has_another_number_of_replicas(
    replicas: dict[str, int], sizes: list[int], kept: bool, tmp_path: Path
) -> None:
    settings = parse_settings({"place": {"replicas": replicas}})
    workers = Workers(cast(Any, SimpleNamespace(path=tmp_path, document={})), settings)
    pools = [
        workers.hold(STAGES[table], "engine of policy 1", num_shards, load_nothing)
        for table, num_shards in (("evaluations", 8), ("rollouts", 8), ("rollouts", 1))
    ]
    assert [pool.size for pool in pools] == sizes
    assert (pools[0] is pools[1]) == kept and pools[1] is pools[2]
    workers.close()


def test_who_trains_nothing_needs_no_devices_for_the_ranks_of_the_run(tmp_path: Path) -> None:
    folder, _ = run_of(tmp_path / "run", {"train.ranks": 8, "train.shard": "full"})
    with Run.open(folder, Console(), overrides=["place.devices=2"]):
        pass
    with pytest.raises(InputError, match=r"place\.devices: 6, and this host has 4 GPUs"):
        Run.open(folder, Console(), overrides=["place.devices=6"])


ENGINE, SCORER = STAGES["rollouts"].load, STAGES["scores"].load


@pytest.mark.parametrize(
    ("when", "round", "made", "wanted"),
    [
        ("never", 0, ("rollouts", "scores"), {ENGINE, SCORER}),
        ("never", 1, (), {ENGINE, SCORER}),
        ("never", 1, ("rollouts",), {SCORER}),
        ("never", 1, ("rollouts", "scores"), set()),
        ("first_and_last", 1, ("rollouts", "scores"), {ENGINE}),
        ("first_and_last", 2, (), {ENGINE}),
    ],
)
def test_what_is_loaded_is_wanted_while_a_shard_is_missing_that_it_makes(
    when: str, round: int, made: tuple[str, ...], wanted: set[str], tmp_path: Path
) -> None:
    changes = {"rounds": 2, "evaluate.when": when}
    folder, plan = run_of(tmp_path / "run", changes)
    for shard in plan.rounds[round].all() if round < 2 else []:
        if shard.table in made:
            commit(folder, shard)
    with Run.open(folder, Console()) as run:
        assert {load for load in (ENGINE, SCORER) if run.wants(load, round)} == wanted
