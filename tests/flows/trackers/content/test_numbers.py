"""What trackers are sent is what the run's tables, and its status, say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.report.status.state import run_status
from flows.trackers.content.chapters import outlines
from flows.trackers.content.completions import LONGEST, _cell
from flows.trackers.content.numbers import evaluation_numbers, guard_numbers, round_numbers
from flows.trackers.tracker import COLUMNS, Chapter
from storage.runs import RunFolder
from storage.sql.catalog import query

Told = dict[str, Chapter]
CHAPTERS = [
    *("evaluation 0", "guards of policy 0", "guards of round 0", "round 0"),
    *("guards of policy 1", "guards of round 1", "round 1"),
    *("evaluation 2", "guards of policy 2"),
]


@pytest.fixture(scope="module")
def run(made: Path) -> RunFolder:
    return RunFolder.open(made)


@pytest.fixture(scope="module")
def told(run: RunFolder) -> Told:
    """Its chapters by name."""
    return {outline.name: outline.read() for outline in outlines(run)}


@pytest.fixture(scope="module")
def status(run: RunFolder) -> dict[str, Any]:
    return run_status(run)


def rows(run: RunFolder, sql: str) -> list[tuple[object, ...]]:
    return query(run, sql).rows


def test_a_run_is_told_in_the_order_in_which_it_was_made(told: Told) -> None:
    assert list(told) == CHAPTERS
    assert all(chapter.name == name for name, chapter in told.items())


def test_the_curves_of_a_round_are_sqls(run: RunFolder, told: Told, status: dict[str, Any]) -> None:
    numbers = told["round 1"].points[0].values
    stages = status["rounds"][1]["stages"]
    judged = "SELECT count(*) FILTER (success) / count(success) FROM verdicts WHERE round = 1"
    assert rows(run, judged) == [(numbers["round/pass_rate"],)]
    mixed = "SELECT count(*) FILTER (kind = 'mixed') / count(*) FROM groups WHERE round = 1"
    assert rows(run, mixed) == [(numbers["round/mixed_share"],)]
    said = "SELECT avg(num_tokens), -sum(list_sum(behavior_logprobs)) / sum(num_tokens) FROM rollouts WHERE round = 1"
    assert rows(run, said) == [(numbers["round/mean_tokens"], numbers["round/entropy"])]
    means = "SELECT avg(loss), avg(grad_norm), max(importance_max) FROM updates WHERE round = 1"
    sent = [numbers[f"round/{name}"] for name in ("loss", "grad_norm", "max_ratio")]
    assert list(rows(run, means)[0]) == pytest.approx(sent, rel=1e-12)
    assert numbers["seconds/score"] == stages["score"]["seconds"]
    assert numbers["tokens/generate"] == stages["generate"]["tokens"]


def test_every_optimizer_step_is_a_point(run: RunFolder, told: Told) -> None:
    points = [point for name in ("round 0", "round 1") for point in told[name].points[1:]]
    sent = [(point.step, point.values["update/loss"], point.values["update/grad_norm"]) for point in points]
    assert rows(run, "SELECT step, loss, grad_norm FROM updates ORDER BY step") == sent
    assert {point.axis for point in points} == {"update"}
    assert not any(name.startswith("update/k") for point in points for name in point.values), "there is no kl"


def test_held_out_numbers_have_their_intervals(told: Told, status: dict[str, Any]) -> None:
    (point,) = told["evaluation 2"].points
    entry = status["evaluations"][1]
    assert (point.axis, point.step) == ("round", 2)
    names = ("heldout/mean_at_k", "heldout/mean_at_k_low", "heldout/mean_at_k_high")
    assert [point.values[name] for name in names] == [entry["mean_at_k"], *entry["mean_interval"]]


def test_the_teacher_stands_beside_its_control(run: RunFolder, told: Told, status: dict[str, Any]) -> None:
    signals = status["rounds"][0]["signals"]
    assert signals["control"] is not None
    entry = {**status["rounds"][0], "signals": {**signals, "control": None}}
    alone, both = round_numbers(run, entry), told["round 0"].points[0].values
    added = {"teacher/control_success_auc", "teacher/success_auc_of_same_prompts"}
    assert set(both) - set(alone) == added
    assert both["teacher/control_success_auc"] == signals["control"]["success_auc"]


def test_guards_say_what_they_measured_and_what_was_breached() -> None:
    guards = [
        {"guard": "accuracy", "value": 0.25, "breached": True},
        {"guard": "entropy", "value": 0.5, "breached": False},
        {"guard": "pass_rate", "value": None, "breached": False},
    ]
    assert guard_numbers(guards) == {"guards/accuracy": 0.25, "guards/entropy": 0.5, "guards_breached/accuracy": 1.0}


def test_what_is_null_is_no_point(status: dict[str, Any]) -> None:
    entry = status["evaluations"][0]
    numbers = evaluation_numbers({**entry, "maj_at_k": None, "maj_interval": None})
    assert "heldout/maj_at_k" not in numbers and "heldout/maj_at_k_low" not in numbers
    assert numbers["heldout/pass_at_k"] == entry["pass_at_k"]


def test_completions_have_their_context_and_verdict(run: RunFolder, told: Told) -> None:
    completions = told["round 1"].completions
    shown = "SELECT prompt_id, sample, text, success FROM episodes WHERE round = 1 ORDER BY sample, prompt_id"
    assert [tuple(row[name] for name in ("prompt_id", "sample", "reply", "success")) for row in completions] == rows(
        run, shown
    )
    assert all(set(row) == set(COLUMNS) for row in completions)
    assert [row[2] for row in told["round 1"].table] == [row["sample"] for row in completions]
    assert completions[0]["context"].startswith("[user]\n")


def test_a_long_text_is_cut_and_says_so() -> None:
    assert _cell("x" * LONGEST) == "x" * LONGEST
    assert _cell("x" * (LONGEST + 1)) == "x" * LONGEST + "… (10,001 characters)"
    assert (
        _cell([{"role": "user", "content": "Why?"}, {"role": "tool", "content": "42"}]) == "[user]\nWhy?\n\n[tool]\n42"
    )
