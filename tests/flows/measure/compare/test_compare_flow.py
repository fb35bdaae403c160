"""The flow of a comparison hands its parameters on as the command does, and fails behind its results."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from flows.measure.compare.command import Comparison
from tests.e2e.harness import TINY
from tests.flows.measure.compare.test_compare import report, results

VARY = ["train.objective=mopd,grpo"]


@pytest.fixture
def flow(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The flow's function, its comparison done by `states`; returns what was compared, what was shown, and the rest."""
    from flows.measure.compare import (
        flow as module,  # brings Prefect along, which no other test of this folder waits for
    )

    def run(states: dict[str, str], **parameters: Any) -> tuple[list[Comparison], list[dict[str, str]], Any]:
        compared: list[Comparison] = []
        shown: list[dict[str, str]] = []
        monkeypatch.setattr(module, "get_run_logger", lambda: logging.getLogger("flow"))
        monkeypatch.setattr("prefect.artifacts.create_markdown_artifact", lambda **given: shown.append(given))
        done = results(states), report(results(states))
        monkeypatch.setattr(module, "compare", lambda comparison, say: compared.append(comparison) or done)
        try:
            ended: Any = module.compare_flow.fn(str(TINY), VARY, **parameters)
        except RuntimeError as error:
            ended = error
        return compared, shown, ended

    return run


def test_parameters_are_the_commands_arguments(flow: Any, tmp_path: Path) -> None:
    (one,), (shown,), ended = flow({}, seeds=2, overrides=["rounds=1"], out=str(tmp_path), jobs=3)
    assert [job.name for job in one.jobs] == ["mopd-seed0", "grpo-seed0", "mopd-seed1", "grpo-seed1"]
    assert {job.settings.rounds for job in one.jobs} == {1}
    assert (one.out, one.workers, ended) == (tmp_path, 3, str(tmp_path))
    assert shown["description"] == one.command == f"mopd compare {TINY} --vary {VARY[0]} --seeds 2 --set rounds=1"
    assert shown["markdown"].count("| grpo |") == 2
    assert f"`{tmp_path}`: results.md" in shown["markdown"]
    (default,), _, _ = flow({})
    assert (default.out, default.workers, default.seeds) == (Path("runs/compare-tiny"), 1, [0])


def test_a_failed_run_fails_the_flow_behind_its_results(flow: Any, tmp_path: Path) -> None:
    _, shown, ended = flow({"grpo-seed1": "failed: no memory"}, out=str(tmp_path))
    assert len(shown) == 1
    assert str(ended) == "grpo-seed1: failed: no memory"
