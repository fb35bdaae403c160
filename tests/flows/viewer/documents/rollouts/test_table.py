"""The rollouts of a round, column by column, are those of the run's tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.viewer.documents.rollouts.table import COLUMNS, rollouts, rounds
from flows.viewer.documents.viewed import ViewedRun
from mopd.settings import parse_settings
from storage.runs import RunFolder
from tests.storage.storage_samples import commit, make_rows

Json = dict[str, Any]


def rows_of(document: Json) -> list[Json]:
    return [dict(zip(document["columns"], row)) for row in zip(*document["columns"].values(), strict=True)]


def test_they_are_those_of_sql(small_run: RunFolder) -> None:
    run = ViewedRun(small_run, "small")
    document = rollouts(run, 1)
    assert tuple(document["columns"]) == COLUMNS
    told = rows_of(document)
    rows = run.ask("SELECT * FROM episodes WHERE round = 1 ORDER BY prompt_id, sample")
    for column in ("prompt_id", "sample", "reward", "prediction", "num_tokens", "distill"):
        assert [row[column] for row in told] == [row[column] for row in rows]
    assert [row["outcome"] == "success" for row in told] == [row["success"] for row in rows]
    assert [row["is_cut"] for row in told] == [row["finish_reason"] == "length" for row in rows]
    shifts = [np.array(row["teacher_logprobs"]) - np.array(row["proximal_logprobs"]) for row in rows]
    assert [row["shift"] for row in told] == pytest.approx([shift.mean() for shift in shifts], abs=6e-5)
    assert [row["disagreement"] for row in told] == pytest.approx([abs(shift).mean() for shift in shifts], abs=6e-5)
    assert document["questions"] == {row["prompt_id"]: row["prompt"][:120] for row in rows}
    assert rounds(run) == {"rounds": [0, 1]}


@pytest.fixture
def run(tmp_path: Path) -> ViewedRun:
    """Prompts of which `a` is learnt, `b` lost, `c` as it was, `d` asked for the first time in round 2."""
    folder = RunFolder.create(tmp_path / "run", {"settings": parse_settings({}).model_dump(mode="json")})
    solved = {0: {"a": (0, 0), "b": (1, 0), "c": (1, 1)}, 2: {"a": (1, 0), "b": (0, 0), "c": (1, 1), "d": (1, 1)}}
    for round, outcomes in solved.items():
        prompts = tuple(outcomes)
        for table in ("prompts", "rollouts"):
            commit(folder, table, make_rows(table, "run", round=round, prompts=prompts), round=round)
        verdicts = make_rows("verdicts", "run", round=round, prompts=prompts)
        judged = [row | {"success": bool(outcomes[row["prompt_id"]][row["sample"]])} for row in verdicts]
        commit(folder, "verdicts", judged, round=round)
    return ViewedRun(folder, "run")


def test_what_flipped(run: ViewedRun) -> None:
    again = [row for row in make_rows("rejudged", "run", round=2, prompts=("a", "b")) if row["sample"] == 0]
    commit(run.folder, "rejudged", again[:1], round=2, name="again")
    commit(run.folder, "rejudged", [again[0] | {"success_after": None}], round=2, name="other")
    told = rows_of(rollouts(run, 2))
    assert {row["prompt_id"]: row["flip"] for row in told} == {"a": "learnt", "b": "lost", "c": None, "d": None}
    turned = {(row["prompt_id"], row["sample"]): row["turned"] for row in told if row["turned"]}
    assert turned == {("a", 0): "failure by math, no verdict by math"}
    assert all(row["flip"] is None for row in rows_of(rollouts(run, 0)))


def test_what_is_missing_is_null(run: ViewedRun) -> None:
    unjudged = make_rows("rollouts", "run", round=3, prompts=("a",))
    commit(run.folder, "rollouts", unjudged, round=3)
    told = rows_of(rollouts(run, 3))
    assert [row["outcome"] for row in told] == ["not judged"] * 2
    assert {row[name] for row in told for name in ("reward", "disagreement", "distill", "flip", "turned")} == {None}
    failed = [row | {"success": None, "reward": None, "error": "it hung"} for row in make_rows("verdicts", "run")]
    commit(run.folder, "verdicts", [row | {"round": 3} for row in failed if row["prompt_id"] == "a"], round=3)
    told = rows_of(rollouts(ViewedRun(run.folder, "run"), 3))
    assert [(row["outcome"], row["why"]) for row in told] == [("no verdict", "it hung")] * 2


def test_some_prompts_alone(run: ViewedRun) -> None:
    document = rollouts(run, 2, ["d", "nobody"])
    assert [(row["prompt_id"], row["sample"]) for row in rows_of(document)] == [("d", 0), ("d", 1)]
    assert set(document["questions"]) == {"d"}
    assert rollouts(run, 9)["columns"]["sample"] == []
