"""A new policy is loaded by what stays for it, beside what comes between its training and its first use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.execute.session import Run
from flows.execute.stages import prepare
from flows.plan.shard import Shard
from flows.plan.stage import Stage
from flows.runtime.console import Console
from tests.flows.plan.test_plan import run_of


@pytest.mark.parametrize(
    ("when", "version", "prepared"),
    [
        ("never", 1, {("generate", "rollouts", 1)}),
        ("never", 2, set()),
        ("every_round", 1, {("evaluate", "evaluations", 1)}),
        ("every_round", 2, {("evaluate", "evaluations", 2)}),
    ],
)
def test_it_is_loaded_for_the_first_shard_that_will_want_it(
    when: str, version: int, prepared: set[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOPD_TEMPORARY_SERVER", "1")
    folder, _ = run_of(tmp_path / "run", {"rounds": 2, "evaluate.when": when})
    asked: set[Any] = set()

    def note(stage: Stage, shard: Shard) -> None:
        asked.add((stage.name, shard.table, shard.round))

    with Run.open(folder, Console()) as run:
        monkeypatch.setattr(run.workers, "prepare", note)
        prepare(run, version)
    assert asked == prepared
