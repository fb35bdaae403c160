"""Runs beside each other: paired by the prompts of both, and said where there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flows.viewer.documents.pairs import pairs
from flows.viewer.documents.viewed import viewed_runs
from storage.runs import RunFolder
from tests.flows.viewer.group_samples import make_groups
from tests.flows.viewer.run_samples import make_run


def document_of(*folders: RunFolder) -> dict[str, Any]:
    document = pairs(viewed_runs(list(folders)))
    assert document is not None
    return document


def test_held_out_success_is_paired_by_prompt(tmp_path: Path) -> None:
    learnt, lost = make_run(tmp_path / "learnt"), make_run(tmp_path / "lost", (False, True, False), seed=1)
    document = document_of(learnt, lost)
    assert document["apart"] == ""
    assert document["headline"] == [
        "learnt: held-out mean@2 100.0 % [100.0, 100.0] after 2 rounds of training.",
        "lost: held-out mean@2 0.0 % [0.0, 0.0] after 2 rounds of training.",
        "lost minus learnt: -100.0 points [-100.0, -100.0], paired over the 2 held-out prompts of both.",
    ]
    assert document["settings"]["rows"] == [["seed", "0", "1"]]
    assert [(row["prompt"], row["difference"]) for row in document["prompts"]["heldout"]["rows"]] == [
        ("a", -1),
        ("b", -1),
    ]


def test_a_run_alone_is_not_compared(tmp_path: Path) -> None:
    assert pairs(viewed_runs([make_groups(tmp_path / "alone", {0: {"7 + 8": [True]}})])) is None


def test_a_chart_has_both_runs(tmp_path: Path) -> None:
    document = document_of(make_run(tmp_path / "one"), make_run(tmp_path / "two", seed=1))
    loss = next(curve for curve in document["curves"] if curve["name"] == "gradient")
    points = next(layer for layer in loss["figure"]["layer"] if layer["mark"]["type"] == "point")
    assert {row["label"] for row in points["data"]["values"]} == {"one", "two"}
    assert loss["table"]["columns"][0] == "run"
    assert [row[0] for row in loss["table"]["rows"]] == ["one"] * 4 + ["two"] * 4


def test_training_prompts_are_those_of_the_last_round_that_asked(tmp_path: Path) -> None:
    first = make_groups(
        tmp_path / "first", {0: {"7 + 8": [True, False], "1 + 1": [False]}, 1: {"7 + 8": [False, False]}}
    )
    second = make_groups(tmp_path / "second", {0: {"7 + 8": [True, True], "2 + 2": [True]}})
    trained = document_of(first, second)["prompts"]["trained"]
    assert trained == {
        "num": 1,
        "learnt": 1,
        "lost": 0,
        "rows": [
            {
                "prompt": "7 + 8",
                "question": "How much is 7 + 8?",
                "runs": {"first": {"rate": 0.0, "round": 1}, "second": {"rate": 1.0, "round": 0}},
                "difference": 1.0,
            }
        ],
    }


def test_runs_without_a_prompt_in_common_stand_apart(tmp_path: Path) -> None:
    first = make_groups(tmp_path / "first", {0: {"7 + 8": [True, False]}})
    second = make_groups(tmp_path / "second", {0: {"2 + 2": [True]}})
    document = document_of(first, second)
    assert document["apart"].startswith("These runs share no prompt: none of their rounds asked the same")
    assert document["headline"] == []
    assert len(document["curves"]) == 8


def test_three_runs_share_what_all_of_them_asked(tmp_path: Path) -> None:
    runs = [make_groups(tmp_path / name, {0: {"7 + 8": [True], name: [True]}}) for name in ("x", "y", "z")]
    trained = document_of(*runs)["prompts"]["trained"]
    assert [list(row["runs"]) for row in trained["rows"]] == [["x", "y", "z"]]
