"""The report on what another verifier says of a run's rollouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flows.measure.reverify.results import ReverifyResults
from flows.report.report import Report
from flows.report.table import Column, Row, Table
from mopd.groups import KINDS
from storage.runs import RunFolder

MOST_CHARACTERS = 40
"""Of a prediction."""
ROUND = [Column("round")]
SOURCE = [Column("dataset"), Column("judge_before", "judged by"), Column("judge_after", "now by")]
COUNTS = [
    Column("judged", "rollouts"),
    Column("flipped"),
    Column("to_success", "to success"),
    Column("to_failure", "to failure"),
    Column("to_null", "to no verdict", optional=True),
    Column("from_null", "from no verdict", optional=True),
    Column("rewards_changed", "other reward"),
    Column("groups"),
    Column("groups_changed", "of another kind"),
    *(Column(f"groups_{kind}", f"groups {kind}") for kind in KINDS.values()),
    Column("contexts_changed", "other context"),
    Column("roles", "other peers in", optional=True),
    Column("advantages_changed", "other advantage"),
    Column("advantage_change", "mean |change|", ".4g"),
]
FLIPS = [Column("round"), Column("prompt_id", "prompt"), Column("sample"), Column("reward"), Column("prediction")]


def reverify_report(results: ReverifyResults, *, command: str, next_steps: str = "") -> Report:
    """Which verdicts flipped, and what that changes. `next_steps`: what a terminal says at the end."""
    words, shown = _words(results), _tables(results)
    rows = [_row(part) for part in results.rounds]
    return Report(
        title="Another verifier",
        parts=[f"    {command}", words, *shown],
        brief=[words, *shown, next_steps],
        numbers=Table.of(rows),
        name="reverify",
    )


def results_folder(run: RunFolder, name: str) -> Path:
    """Where the report on a reverification lies: in the run, by the name of its rows."""
    return run.path / "analysis" / f"reverify-{name}"


def _words(results: ReverifyResults) -> str:
    """The outcome in a line, then who judged and who judges now, where that is known or another."""
    total = results.total
    lines = [f"{results.name}: {total['flipped']} of {total['judged']} verdicts flipped"]
    for name, now in results.now.items():
        before = results.before.get(name)
        if before is not None and before != now:
            lines.append(f"judged by {name} ({before}), now {now}")
    others = [f"{name} ({text})" for name, text in results.before.items() if name not in results.now]
    if others:
        lines.append(f"judged by {', '.join(others)}, now by {_listed(results.now)}")
    return "\n".join(lines)


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} ({text})" for name, text in versions.items())


def _tables(results: ReverifyResults) -> list[Table]:
    rounds = Table([*ROUND, *COUNTS], [_row(part) for part in results.rounds])
    sources = Table([*SOURCE, *COUNTS], [_row(part) for part in results.sources], "by data set and verifier")
    first = len(results.flips)
    title = "flips" if first == results.total["flipped"] else f"the first {first} flips"
    flips = Table(FLIPS, [_flip_row(flip) for flip in results.flips], title)
    return [rounds, *([sources] if len(results.sources) > 1 else []), *([flips] if first else [])]


def _row(part: dict[str, Any]) -> Row:
    """A part's numbers; what there was before and is now stands in one cell."""
    pairs = {f"groups_{kind}": _arrow(*part[f"groups_{kind}"]) for kind in KINDS.values()}
    roles = ", ".join(f"{role} {num}" for role, num in part["roles_changed"].items())
    return {**part, **pairs, "roles_changed": None, "roles": roles or None}


def _flip_row(flip: dict[str, Any]) -> Row:
    cells = {name: _arrow(flip[f"{name}_before"], flip[f"{name}_after"]) for name in ("reward", "prediction")}
    return {**flip, **cells}


def _arrow(before: Any, after: Any) -> str:
    return f"{_short(before)} -> {_short(after)}"


def _short(value: Any) -> str:
    text = "none" if value is None else f"{value:g}" if isinstance(value, float) else " ".join(str(value).split())
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
