"""The run's first screen: its numbers are those of `mopd status` and of SQL, and what is missing says why."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import vl_convert

from flows.report.status.state import run_status
from flows.viewer.documents.overview import overview
from flows.viewer.documents.viewed import ViewedRun
from mopd.settings import parse_settings
from storage.errors import with_mending
from storage.lookup import manifests
from storage.runs import RunFolder
from tests.flows.plan.test_plan import run_of
from tests.flows.viewer.run_samples import make_run
from tests.storage.storage_samples import commit, fill, make_rows


@pytest.fixture
def run(tmp_path: Path) -> ViewedRun:
    return ViewedRun(make_run(tmp_path / "run"), "run")


def curves_of(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {curve["name"]: curve for curve in document["curves"]}


def column(curve: dict[str, Any], title: str) -> list[Any]:
    place = curve["table"]["columns"].index(title)
    cells = [row[place] for row in curve["table"]["rows"]]
    return [cell["value"] if isinstance(cell, dict) else cell for cell in cells]


def drawn(curve: dict[str, Any], label: str) -> list[float]:
    """What the points of a line say, as they are shown."""
    points = [layer for layer in curve["figure"]["layer"] if layer["mark"]["type"] == "point"]
    return [row["value"] for layer in points for row in layer["data"]["values"] if row["label"] == label]


def test_what_an_evaluation_took_is_of_a_policy_and_of_no_round(run: ViewedRun) -> None:
    time = curves_of(overview(run))["time"]
    rows = [row for row in time["table"]["rows"] if row[time["table"]["columns"].index("stage")] == "evaluate"]
    assert time["table"]["columns"][:3] == ["round", "policy evaluated", "stage"]
    assert [row[:2] for row in rows] == [[None, 0], [None, 1], [None, 2]]


def test_the_headline_has_intervals_and_says_of_how_many_prompts(run: ViewedRun) -> None:
    assert overview(run)["headline"][:2] == [
        "Held-out mean@2 0.0 % [0.0, 0.0] → 100.0 % [100.0, 100.0] over 2 rounds of training: "
        "+100.0 points [+100.0, +100.0], paired over 2 prompts.",
        "On training prompts, from round 0 to 1: 100.0 % → 100.0 % of replies right; 0 of 2 → 0 of 2 groups with both "
        "outcomes.",
    ]


def test_curves_are_what_status_and_sql_say(run: ViewedRun) -> None:
    curves, status = curves_of(overview(run)), run_status(run.folder)
    assert column(curves["heldout"], "mean@2") == [entry["mean_at_k"] for entry in status["evaluations"]] == [0, 1, 1]
    assert drawn(curves["heldout"], "mean@2") == [0.0, 100.0, 100.0]
    assert column(curves["success"], "pass rate") == [entry["pass_rate"] for entry in status["rounds"]]
    updates = run.ask("SELECT loss, grad_norm, importance_max FROM updates ORDER BY round, step")
    assert drawn(curves["loss"], "loss") == [row["loss"] for row in updates]
    assert drawn(curves["gradient"], "gradient norm") == [row["grad_norm"] for row in updates]
    assert drawn(curves["importance"], "largest") == [row["importance_max"] for row in updates]
    lengths = run.ask("SELECT round, avg(num_tokens) AS length FROM rollouts GROUP BY round ORDER BY round")
    assert drawn(curves["length"], "mean length") == [row["length"] for row in lengths] == [3.0, 3.0]


def test_all_that_is_drawn_is_drawn_without_a_browser(run: ViewedRun) -> None:
    for name, curve in curves_of(overview(run)).items():
        if curve["figure"]:
            svg = vl_convert.vegalite_to_svg({**curve["figure"], "width": 300}, allowed_base_urls=[])
            assert 'role="graphics-symbol"' in svg, name


def test_parts_of_the_loss_are_drawn_where_they_say_more_than_it_does(run: ViewedRun) -> None:
    assert {row["label"] for row in _points(curves_of(overview(run))["loss"])} == {
        "loss",
        "distillation",
        "policy gradient",
    }


def _points(curve: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        row for layer in curve["figure"]["layer"] if layer["mark"]["type"] == "point" for row in layer["data"]["values"]
    ]


def test_settings_tell_what_differs_from_the_defaults(run: ViewedRun) -> None:
    settings = overview(run)["settings"]
    assert settings["changed"]["columns"] == ["setting", "value", "default"]
    assert ["rounds", "2", "4"] in settings["changed"]["rows"]
    assert ["seed", "0"] in settings["all"]["rows"]


def test_guards_say_what_they_measured(run: ViewedRun) -> None:
    guards = overview(run)["guards"]
    row = dict(zip(guards["columns"], guards["rows"][0]))
    assert (row["policy"], row["guard"], row["breached"], row["action"]) == (0, "entropy", "breached", "warn")


def test_how_it_ended(tmp_path: Path, run: ViewedRun) -> None:
    assert overview(run)["state"] == {"kind": "finished", "text": "finished"}
    empty = overview(ViewedRun(run_of(tmp_path / "empty")[0], "empty"))
    assert empty["state"] == {"kind": "unfinished", "text": "not finished, and nobody runs it"}
    assert {curve["missing"] for curve in empty["curves"]} == {
        "The run evaluates no policy.",
        "No round has been judged yet.",
        "No optimizer step has been made yet.",
        "Nothing has been sampled yet.",
        "No round has measured it yet.",
        "No stage has noted its time.",
    }


def test_rows_that_mopd_run_did_not_make_are_shown(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "rows", {"settings": parse_settings({}).model_dump(mode="json")})
    fill(folder)
    document = overview(ViewedRun(folder, "rows"))
    assert document["state"]["text"] == "not made by mopd run: it has no plan"
    assert drawn(curves_of(document)["loss"], "loss") == [0.7, 0.7]
    assert document["headline"] == []


def test_of_a_damaged_shard_the_rest_is_shown(run: ViewedRun, caplog: pytest.LogCaptureFixture) -> None:
    """SQL and the state come upon it: it is said once, and only there."""
    damaged = manifests(run.folder, "updates")[0]
    (run.folder.path / damaged.file).write_bytes(b"no parquet")
    document = overview(run)
    assert len(drawn(curves_of(document)["loss"], "loss")) == 2
    problem = f"{damaged.file} has 10 bytes instead of {damaged.bytes}"
    assert document["problems"] == [with_mending(run.folder.address, problem)]
    assert "mopd run makes it again" not in caplog.text


def test_what_is_no_number_is_missing(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "nan", {"settings": {}})
    commit(folder, "updates", [{**row, "loss": float("nan")} for row in make_rows("updates", folder.run_id)])
    document = overview(ViewedRun(folder, "nan"))
    assert column(curves_of(document)["loss"], "loss") == [None, None]
    json.dumps(document, allow_nan=False)


def test_entropy_is_what_guards_noted_and_else_what_tokens_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder.create(tmp_path / "rows", {"settings": {}})
    for round in range(2):
        commit(folder, "rollouts", make_rows("rollouts", folder.run_id, round=round), round=round)
    commit(folder, "guards", make_rows("guards", folder.run_id))
    run = ViewedRun(folder, "rows")
    assert drawn(curves_of(overview(run))["entropy"], "entropy") == [0.5, 0.5]
    monkeypatch.setattr("flows.viewer.documents.parts.curves.MOST_TOKENS", 3)
    commit(folder, "guards", make_rows("guards", folder.run_id, round=2), round=2)
    curve = curves_of(overview(ViewedRun(folder, "rows")))["entropy"]
    assert (column(curve, "round"), drawn(curve, "entropy")) == ([0, 2], [0.5, 0.5])
    assert "No guard measured it in round 1. That takes a while: mopd sql" in curve["about"]


def test_of_many_steps_the_first_the_last_and_every_spike_are_drawn(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "long", {"settings": {}})
    [row] = make_rows("updates", folder.run_id)[:1]
    rows = [{**row, "step": step, "loss": {1234: 9.0, 2999: 0.25}.get(step, 1.0)} for step in range(3000)]
    commit(folder, "updates", rows)
    losses = drawn(curves_of(overview(ViewedRun(folder, "long")))["loss"], "loss")
    assert (losses.count(9.0), losses[-1], len(losses) <= 502) == (1, 0.25, True)


def test_forks_and_reruns_say_where_they_come_from(run: ViewedRun) -> None:
    assert run.look is not None
    lineage = {"path": "runs/first", "run_id": "first", "round": 1, "set": ["seed=1"]}
    redone = {"round": 1, "from": "score", "set": [], "when": "2026-11-29T08:30:12.5+00:00", "why": ""}
    run.look = replace(run.look, status={**run.look.status, "lineage": lineage, "redone": [redone]})
    assert overview(run)["notes"] == [
        "forked from runs/first at round 1 with seed=1",
        "redone from score of round 1 with the same settings, 2026-11-29 08:30 UTC",
    ]
