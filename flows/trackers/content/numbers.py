"""The curves of a run: what its tables, and `mopd status`, say of a round, an evaluation, an optimizer step.

Nothing is measured here. What is null stays away: a curve has no point there.
"""

from __future__ import annotations

from typing import Any

from flows.trackers.tracker import UPDATE, Point, Row
from mopd.measures.comparison import METRICS
from storage.runs import RunFolder
from storage.sql.catalog import query
from storage.sql.named import find_query

Numbers = dict[str, float]
_ROUND_COLUMNS = ("pass_rate", "null_verdicts", "loss", "distill_loss", "policy_loss", "grad_norm")
_TEACHER_COLUMNS = ("success_auc", "pairwise_accuracy", "gain_auc")
_CONTROL_COLUMNS = {"success_auc": "control_success_auc", "own_success_auc": "success_auc_of_same_prompts"}
_NAMED = ("entropy_and_length", "importance_truncated")
"""Named queries of which each has one row a round."""
_NO_NUMBERS = ("run", "round", "step", "objective", "skipped")
"""Columns of these, and of `updates`, that are no curves."""


def evaluation_numbers(entry: dict[str, Any]) -> Numbers:
    """Of a policy, by what the status says of its evaluation: mean, pass and maj@k with their 95 % intervals."""
    numbers: dict[str, Any] = {}
    for metric in METRICS:
        numbers |= _interval(f"heldout/{metric}_at_k", entry[f"{metric}_at_k"], entry[f"{metric}_interval"])
    numbers |= {f"heldout/{name}": entry[name] for name in ("k", "num_prompts", "num_null")}
    return _present(numbers | _costs("evaluate", entry))


def guard_numbers(rows: list[Row]) -> Numbers:
    """Of a policy: what its guards measured, and a 1 for each bound that was breached."""
    numbers = {f"guards/{row['guard']}": row["value"] for row in rows}
    return _present(numbers | {f"guards_breached/{row['guard']}": 1 for row in rows if row["breached"]})


def round_numbers(folder: RunFolder, entry: dict[str, Any]) -> Numbers:
    """Of a round, by what the status says of it; entropy, length and importance by named queries."""
    numbers = {f"round/{name}": entry[name] for name in _ROUND_COLUMNS}
    numbers["round/mixed_share"] = entry["mixed_groups"] / entry["groups"] if entry["groups"] else None
    for name in _NAMED:
        numbers |= {f"round/{column}": value for column, value in _ask(folder, name, entry["round"]).items()}
    for name, stage in entry["stages"].items():
        numbers |= _costs(name, stage)
    return _present(numbers | _teacher(entry["signals"]))


def update_points(folder: RunFolder, round: int) -> list[Point]:
    """One for each optimizer step of a round."""
    result = query(folder, "SELECT * FROM updates WHERE round = $round ORDER BY step", {"round": round})
    rows = [dict(zip(result.columns, row)) for row in result.rows]
    return [
        Point(UPDATE, row["step"], _present({f"update/{name}": row[name] for name in row if name not in _NO_NUMBERS}))
        for row in rows
    ]


def _ask(folder: RunFolder, name: str, round: int) -> dict[str, Any]:
    """The numbers of a round's row in the answer to a named query."""
    result = query(folder, f"SELECT * FROM ({find_query(name).sql}) WHERE round = $round", {"round": round})
    rows = [dict(zip(result.columns, row)) for row in result.rows]
    return {column: value for row in rows for column, value in row.items() if column not in _NO_NUMBERS}


def _teacher(signals: dict[str, Any] | None) -> dict[str, Any]:
    """Teacher against verifier, and the same of the control, over the prompts that it has."""
    if signals is None:
        return {}
    numbers = {f"teacher/{name}": signals[name] for name in _TEACHER_COLUMNS}
    numbers |= _interval("teacher/success_auc", signals["success_auc"], signals["interval"])
    control = signals["control"] or {}
    return numbers | {f"teacher/{name}": control.get(column) for column, name in _CONTROL_COLUMNS.items()}


def _interval(name: str, value: float | None, interval: tuple[float, float] | None) -> dict[str, Any]:
    low, high = interval or (None, None)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _costs(stage: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Seconds and tokens of a stage; no point where it has not run."""
    return {f"seconds/{stage}": entry["seconds"], f"tokens/{stage}": entry["tokens"] or None}


def _present(numbers: dict[str, Any]) -> Numbers:
    return {name: float(value) for name, value in numbers.items() if value is not None}
