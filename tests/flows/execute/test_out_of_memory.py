"""A stage whose worker took too much memory ends in one line: at how much, and what to lower to what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.execute.out_of_memory import explain_out_of_memory
from flows.execute.session import Workers
from flows.plan.shard import Shard
from flows.plan.stage import STAGES
from flows.runtime.messages import silent
from flows.runtime.out_of_memory import OutOfMemory
from flows.runtime.server.patience import TEMPORARY
from mopd.errors import InputError
from mopd.memory import plan as memory_plan
from mopd.memory.sizes import GIGABYTE, Device
from mopd.settings import parse_settings
from storage.runs import RunFolder
from tests.mopd.memory.test_memory_plan import QWEN2_HALF_B

KILLED = OutOfMemory("killed for memory at 23.4 GB", int(23.4 * GIGABYTE))


def shard_of(table: str, folder: Path, **others: Any) -> Shard:
    """A shard of a run of a model that has a config alone."""
    (folder / "config.json").write_text(json.dumps(QWEN2_HALF_B))
    tree = {"model": {"path": str(folder), "precision": "float32"}, "train": {"gradient_checkpointing": "off"}}
    return Shard(table, 3, 0, "0" * 64, parse_settings({**tree, **others}))


def explained(table: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(memory_plan, "find_device", lambda settings: Device("cpu", 24 * GIGABYTE, 4))
    return explain_out_of_memory(None, silent, STAGES[table].name, shard_of(table, folder), KILLED)


def test_settings_that_a_run_may_change_are_for_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = explained("policies", tmp_path, monkeypatch)
    assert line.startswith("round 3: train was killed for memory at 23.4 GB; set train.gradient_checkpointing to on")
    assert "start the same command again with --set train.gradient_checkpointing=on" in line


def test_fewer_processes_on_a_machine_are_for_the_same_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_plan, "find_device", lambda settings: Device("cpu", 24 * GIGABYTE, 4, 2))
    shard = shard_of("scores", tmp_path, place={"devices": 2})
    line = explain_out_of_memory(None, silent, "score", shard, KILLED)
    assert line.endswith("lower place.devices from 2 to 1: start the same command again with --set place.devices=1")


def test_a_stage_of_the_cpu_has_no_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = explained("verdicts", tmp_path, monkeypatch)
    assert line == (
        "round 3: verify was killed for memory at 23.4 GB; lower prompts_per_shard in a new run, "
        "or end what else takes memory here"
    )


def test_a_worker_killed_for_memory_is_an_error_that_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    shard = shard_of("policies", tmp_path / "model")
    workers = Workers(RunFolder.create(tmp_path / "run", {"settings": {}}), shard.settings)

    monkeypatch.setenv(TEMPORARY, "1")  # else a server is asked for the device

    def die(*_: Any, **__: Any) -> None:
        raise KILLED

    monkeypatch.setattr(workers.hold_for(STAGES["policies"], shard), "run", die)
    with pytest.raises(InputError, match=r"^round 3: train was killed for memory at 23\.4 GB; "):
        workers.make(STAGES["policies"], shard, silent)
    workers.kill()
