"""What `mopd status` says of a round's contexts: whether teacher and verifier agree, and what a probe chose."""

from __future__ import annotations

from typing import Any

from flows.plan.counts import chosen
from flows.plan.run import RunPlan
from flows.plan.shard import Shard
from flows.report.artifacts import find_manifests
from flows.report.text import Cell
from mopd.measures.estimate import Estimate, bootstrap_interval
from mopd.settings import Settings
from storage.runs import RunFolder
from storage.shards import read_rows
from storage.sql.tables import read_small_rows

METRICS = ("success_auc", "pairwise_accuracy", "gain_auc")
COLUMNS = ["prompt_id", "population", "variant", "success_share", *METRICS]


def signals_status(folder: RunFolder, plan: RunPlan, round: int) -> dict[str, Any] | None:
    """Means over the prompts with both outcomes, for the context in use and its control; None before they are there.

    `control` has the control's mean, and that of the context in use over the very same prompts.
    """
    part = plan.rounds[round].needed(folder)
    rows = _mixed(folder, part.signals)
    if rows is None:
        return None
    control = _mixed(folder, part.control.signals) if part.control else None
    return {
        "variant": _variant(rows),
        "num_prompts": len(rows),
        **{metric: mean(rows, metric) for metric in METRICS},
        "interval": _interval(rows, plan.at(round).settings),
        "control": _control_status(rows, control) if control else None,
    }


def choice_status(folder: RunFolder, plan: RunPlan, round: int) -> dict[str, Any] | None:
    """What the round's probe chose, and why; None where it had none."""
    choice = plan.rounds[round].choice
    manifest = choice.find(folder) if choice is not None else None
    if manifest is None:
        return None
    row = chosen(read_rows(folder, manifest))
    return {name: row[name] for name in ("candidate", "why")}


def signal_row(round: int, signals: dict[str, Any]) -> dict[str, Cell]:
    """The round in the table of signals, by what `signals_status` says of it."""
    row: dict[str, Cell] = {
        "round": round,
        "context": signals["variant"],
        "prompts": signals["num_prompts"],
        "success AUC": Estimate.of(signals["success_auc"], signals["interval"], signals["num_prompts"]).text(".2f"),
        "pairs": _two_digits(signals["pairwise_accuracy"]),
        "gain AUC": _two_digits(signals["gain_auc"]),
    }
    control = signals["control"]
    if control is not None:
        row[f"AUC of {control['variant']}"] = _two_digits(control["success_auc"])
        row["here, same prompts"] = _two_digits(control["own_success_auc"])
        row["control prompts"] = control["num_prompts"]
    return row


def _two_digits(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _mixed(folder: RunFolder, shards: list[Shard]) -> list[dict[str, Any]] | None:
    """Rows of whole groups with both outcomes; None while a shard is missing."""
    manifests = find_manifests(folder, shards)
    if len(manifests) < len(shards):
        return None
    rows = read_small_rows(folder, manifests, COLUMNS)
    return [row for row in rows if row["population"] == "all" and 0 < (row["success_share"] or 0) < 1]


def _control_status(rows: list[dict[str, Any]], control: list[dict[str, Any]]) -> dict[str, Any]:
    prompts = {row["prompt_id"] for row in control}
    return {
        "variant": _variant(control),
        "num_prompts": len(control),
        "success_auc": mean(control, "success_auc"),
        "own_success_auc": mean([row for row in rows if row["prompt_id"] in prompts], "success_auc"),
    }


def _variant(rows: list[dict[str, Any]]) -> str | None:
    return rows[0]["variant"] if rows else None


def mean(rows: list[dict[str, Any]], metric: str) -> float | None:
    """Over the rows that have a number; None where none has."""
    values = [row[metric] for row in rows if row[metric] is not None]
    return sum(values) / len(values) if values else None


def _interval(rows: list[dict[str, Any]], settings: Settings) -> tuple[float, float] | None:
    values = [row["success_auc"] for row in rows if row["success_auc"] is not None]
    return bootstrap_interval(values, **settings.draws)
