"""Where a run stands, for people: tables by stage and by round, held-out results, breaches, last errors."""

from __future__ import annotations

from typing import Any

from flows.plan.selection import selection_line
from flows.report.last_errors import errors_text
from flows.report.redone import redone_text
from flows.report.status.guards import guards_text
from flows.report.status.signals import signal_row
from flows.report.status.state import STAGE_NAMES
from flows.report.table import Column, Row, Table
from flows.report.text import Cell, number, span, text_table
from flows.runtime.console import clock
from mopd.measures.comparison import METRICS
from mopd.measures.estimate import Estimate

BEST = {True: "*", False: None}
TIMED_STAGES = tuple(name for name in STAGE_NAMES.values() if name != "measure")


def status_text(status: dict[str, Any], state: str) -> str:
    """The state for people: stages first, then results. `state`: how it ended, or who runs it."""
    head = f"{status['run']}: {state}; {status['model']}, {status['variant']} contexts"
    if lineage := status["lineage"]:
        head += f"\nforked from {lineage['path']} at round {lineage['round']} with {', '.join(lineage['set'])}"
    head += "".join(f"\n{redone_text(entry)}" for entry in status["redone"])
    parts = [head, _stages_text(status), rounds_text(status), errors_text(status["errors"])]
    return "\n\n".join(part for part in parts if part)


def rounds_text(status: dict[str, Any]) -> str:
    """The table by round, and held-out results under it."""
    begun = [entry for entry in status["rounds"] if entry["began"]] or status["rounds"][:1]
    waiting = [entry["round"] for entry in status["rounds"] if entry not in begun]
    parts = [text_table([_round_row(entry) for entry in begun])]
    parts += [f"not begun: round {span(waiting)}"] if waiting else []
    short = [entry for entry in status["rounds"] if entry["selection"] is not None and entry["selection"]["short"]]
    parts += [f"round {entry['round']}: {selection_line(entry['selection'])}" for entry in short]
    chosen = [(entry["round"], entry["choice"]) for entry in status["rounds"] if entry["choice"] is not None]
    parts += [f"round {round}: {choice['candidate']} contexts, {choice['why']}" for round, choice in chosen]
    signals = [signal_row(entry["round"], entry["signals"]) for entry in status["rounds"] if entry["signals"]]
    if signals:
        parts.append(f"teacher against verifier, means over prompts with both outcomes\n{text_table(signals)}")
    evaluated = [entry for entry in status["evaluations"] if entry["mean_at_k"] is not None]
    parts += [evaluation_table(evaluated).terminal()] if evaluated else []
    parts += [guards] if (guards := guards_text(status["guards"])) else []
    return "\n\n".join(parts)


def _stages_text(status: dict[str, Any]) -> str:
    rows: list[dict[str, Cell]] = []
    for entry in status["rounds"]:
        rows += [_stage_row(f"round {entry['round']}", name, stage) for name, stage in entry["stages"].items()]
        rows.append(_between_row(f"round {entry['round']}", entry["between"]))
    rows += [_stage_row(f"policy {entry['policy']}", "evaluate", entry) for entry in status["evaluations"]]
    if all((row["replicas"] or 1) == 1 for row in rows):  # nothing to tell of one process after another
        rows = [{name: cell for name, cell in row.items() if name not in ("replicas", "hosts")} for row in rows]
    begun = [row for row in rows if row["seconds"] is not None]
    return text_table(begun or rows)


def _stage_row(where: str, name: str, stage: dict[str, Any]) -> dict[str, Cell]:
    return {
        "": where,
        "stage": name,
        "shards": f"{stage['shards_done']}/{stage['shards']}",
        "seconds": round(stage["seconds"], 2) if stage["shards_done"] else None,
        "tokens": stage["tokens"] or None,
        "tokens/s": round(stage["tokens_per_second"]) if stage["tokens_per_second"] else None,
        "replicas": stage["replicas"] or None,
        "hosts": stage["hosts"] or None,
    }


def _between_row(where: str, seconds: float) -> dict[str, Cell]:
    """What no shard of the round took."""
    nothing = dict.fromkeys(("shards", "seconds", "tokens", "tokens/s", "replicas", "hosts"))
    return {"": where, "stage": "(between)", **nothing, "seconds": round(seconds, 2) or None}


def _round_row(entry: dict[str, Any]) -> dict[str, Cell]:
    seconds = {name: stage["seconds"] for name, stage in entry["stages"].items() if stage["shards_done"]}
    selection = entry["selection"]
    return {
        "round": entry["round"],
        "pass rate": None if entry["pass_rate"] is None else f"{100 * entry['pass_rate']:.1f} %",
        "mixed groups": f"{entry['mixed_groups']}/{entry['groups']}" if entry["groups"] else None,
        **({"trained groups": f"{selection['useful']}/{selection['wanted']}"} if selection else {}),
        "loss": number(entry["loss"]),
        "distill loss": number(entry["distill_loss"]),
        "grad norm": number(entry["grad_norm"]),
        **{name: clock(seconds[name]) if name in seconds else None for name in TIMED_STAGES},
        **({"nulls": entry["null_verdicts"]} if entry["null_verdicts"] else {}),
    }


def evaluation_table(entries: list[dict[str, Any]]) -> Table:
    """One row a policy; a fork may have other numbers of samples than what it took over."""
    columns = [Column("policy")]
    for k in dict.fromkeys(entry["k"] for entry in entries):
        columns += [Column(f"{name}@{k}", form=".1f", scale=100, unit=" %", optional=name == "maj") for name in METRICS]
    columns += [Column("num_prompts", "prompts"), Column("seconds", form=clock), Column("best", optional=True)]
    rows: list[Row] = [
        {**entry, **{f"{name}@{entry['k']}": _estimate(entry, name) for name in METRICS}, "best": BEST[entry["best"]]}
        for entry in entries
    ]
    title = "held-out, with 95 % intervals over prompts"
    return Table([*columns, Column("num_null", "nulls", optional=True)], rows, title)


def _estimate(entry: dict[str, Any], name: str) -> Estimate:
    return Estimate.of(entry[f"{name}_at_k"], entry[f"{name}_interval"], entry[f"num_{name}_prompts"])
