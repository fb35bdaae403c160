"""The run: what was run, how it went and how it ended."""

from __future__ import annotations

from typing import Any

from flows.report.card.published import OF_THE_MACHINE
from flows.report.last_errors import error_line
from flows.report.redone import redone_text
from flows.report.table import Column, Table
from flows.report.text import minute
from flows.runtime.console import clock
from flows.viewer.documents.parts.curve import curve_document
from flows.viewer.documents.parts.curves import run_curves
from flows.viewer.documents.parts.headline import headline
from flows.viewer.documents.parts.settings import settings_document
from flows.viewer.documents.parts.stage_times import stage_seconds, stage_times
from flows.viewer.documents.parts.state import state
from flows.viewer.documents.viewed import Json, ViewedRun
from storage.sql.named import find_query

GUARDS = [
    Column("policy"),
    Column("guard"),
    Column("value", form=".4g"),
    Column("reference", form=".4g"),
    Column("bound", form=".4g"),
    Column("breached"),
    Column("action"),
    Column("why"),
]


def overview(run: ViewedRun) -> Json:
    """What stands on the page's first screen. Of what can't be read, the run's problems say why."""
    curves = [curve_document({run.id: curve}) for curve in run_curves(run)]
    return {
        "title": run.id,
        "state": state(run),
        "headline": headline(run),
        "facts": facts(run),
        "notes": notes(run),
        "curves": [*curves, stage_times(run)],
        "guards": guards(run),
        "errors": [run.without_places(error_line(error)) for error in run.status["errors"]] if run.status else [],
        "settings": _settings(run),
        "problems": run.shown_problems,
    }


def _settings(run: ViewedRun) -> Json | None:
    if run.shown_settings is None:
        return None
    return settings_document(run.shown_settings, without=OF_THE_MACHINE if run.in_file else ())


def facts(run: ViewedRun) -> list[tuple[str, str]]:
    """What was run, when, how long and where, by name."""
    document: dict[str, Any] = run.folder.document
    named: dict[str, Any] = {"config": document.get("config")}
    if settings := run.shown_settings:
        named |= {"model": settings.model.path, "objective": settings.train.objective.kind}
        named |= {"contexts": f"{settings.condition.variant.kind}, teacher {settings.train.teacher.kind}"}
        named |= {"rounds": f"{_rounds_done(run)} of {settings.rounds}"}
        named |= {"a round": f"{settings.generate.num_prompts} prompts × {settings.generate.num_samples} replies"}
        named |= {"seed": settings.seed}
    named |= _times(run) | {"where": None if run.in_file else run.folder.address, "hosts": ", ".join(_hosts(run))}
    named |= {"made by": ", ".join(f"{name} {version}" for name, version in document.get("versions", {}).items())}
    return [(name, str(value)) for name, value in named.items() if value not in (None, "")]


def notes(run: ViewedRun) -> list[str]:
    """Where it comes from, and what of it was made again."""
    if run.status is None:
        return []
    lines = [redone_text(entry) for entry in run.status["redone"]]
    if lineage := run.status["lineage"]:
        origin = f"forked from {lineage['path']} at round {lineage['round']} with {', '.join(lineage['set'])}"
        return [run.without_places(origin), *lines]
    return lines


def guards(run: ViewedRun) -> Json | None:
    """What each guard measured, and what a breach led to; None where none was asked."""
    query = find_query("guard_decisions")
    rows = run.ask(query.sql, **query.bind({"all": "true"}, []))
    shown = [{**row, "policy": row["round"], "breached": "breached" if row["breached"] else "within"} for row in rows]
    return Table(GUARDS, shown).document() if rows else None


def _rounds_done(run: ViewedRun) -> int | str:
    return sum(entry["finished"] for entry in run.status["rounds"]) if run.status else "?"


def _times(run: ViewedRun) -> dict[str, str]:
    """When work began and ended, and how long all jobs took together."""
    if run.status is None:
        return {}
    entries = [*run.status["rounds"], *run.status["evaluations"]]
    ends = sorted(entry["ended"] for entry in entries if entry["ended"])
    if not ends:
        return {}
    began = min(entry["began"] for entry in entries if entry["began"])
    until = minute(ends[-1]).removeprefix(began[:10]).strip()
    work = sum(stage_seconds(run.status).values())
    return {"when": f"{minute(began)} to {until} UTC", "work": f"{clock(work)} of all jobs"}


def _hosts(run: ViewedRun) -> list[str]:
    """Those that worked on the last round that has begun."""
    begun = [entry["round"] for entry in run.status["rounds"] if entry["began"]] if run.status else []
    made = [shard for table in ("rollouts", "scores") for shard in run.shards(table, begun[-1])] if begun else []
    return sorted({str(shard.info["host"]) for shard in made if "host" in shard.info})
