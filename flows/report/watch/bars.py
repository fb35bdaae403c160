"""A run at one moment, as a screen: its rounds, the stages of the one that is at work, results, last errors."""

from __future__ import annotations

from typing import Any

from flows.report.last_errors import errors_text
from flows.report.status.text import rounds_text
from flows.report.text import Cell, text_table
from flows.report.watch.look import Look
from flows.report.watch.time_left import time_left
from flows.runtime.console import clock

WIDTH = 24
FULL, EMPTY = "█", "░"
MOST_ROUNDS = 8
"""Rounds of which results are shown: the last ones."""


def screen(look: Look) -> str:
    """All of it."""
    status = look.status
    parts = [head_line(look), _rounds_line(look), _stages(look), _at_work(look), errors_text(status["errors"])]
    return "\n\n".join(part for part in [*parts, _results(status)] if part)  # results last: a terminal may be low


def head_line(look: Look) -> str:
    """The run and who holds it."""
    status = look.status
    return f"{status['run']}: {look.state.text}; {status['model']}, {status['variant']} contexts"


def parts_of(look: Look) -> dict[tuple[int, str], float]:
    """What is done of shards that are at work, by round (or policy) and stage."""
    stages = (look.progress or {}).get("stages", [])
    return {(int(stage["where"].split()[-1]), stage["stage"]): stage["part"] for stage in stages}


def _rounds_line(look: Look) -> str:
    rounds = look.status["rounds"]
    done = sum(entry["finished"] for entry in rounds)
    seconds = None if look.finished else time_left(look.status, parts_of(look))
    left = "" if seconds is None else f"  about {clock(seconds)} left"
    return f"rounds     {_bar(done, len(rounds))} {done}/{len(rounds)}{left}"


def _stages(look: Look) -> str:
    """The stages of the round, or the evaluation, that is at work: the first that is not finished."""
    status, parts = look.status, parts_of(look)
    entry = next((entry for entry in status["rounds"] if not entry["finished"]), None)
    blocks = []
    if entry is not None:
        rows = [
            _stage_row(name, stage, parts.get((entry["round"], name), 0.0)) for name, stage in entry["stages"].items()
        ]
        blocks.append(f"round {entry['round']}\n{text_table(rows)}")
    waiting = [one for one in status["evaluations"] if not one["finished"]]
    if waiting and _is_due(status, waiting[0]["policy"]):
        one = waiting[0]
        row = _stage_row("evaluate", one, parts.get((one["policy"], "evaluate"), 0.0))
        blocks.append(f"policy {one['policy']}\n{text_table([row])}")
    return "\n\n".join(blocks)


def _is_due(status: dict[str, Any], version: int) -> bool:
    """Whether there is the policy that is to be evaluated."""
    return version == 0 or bool(status["rounds"][version - 1]["finished"])


def _stage_row(name: str, stage: dict[str, Any], part: float) -> dict[str, Cell]:
    done, planned = stage["shards_done"], stage["shards"]
    rate = stage["tokens_per_second"]
    return {
        "stage": name,
        "": _bar(done + part, planned),
        "shards": f"{done}/{planned}",
        "seconds": round(stage["seconds"], 2) if done else None,
        "tokens/s": round(rate) if rate else None,
        "replicas": stage["replicas"] or None,
        "hosts": stage["hosts"] or None,
    }


def _bar(done: float, of: int) -> str:
    full = round(WIDTH * min(done / of, 1.0)) if of else 0
    return FULL * full + EMPTY * (WIDTH - full)


def _at_work(look: Look) -> str:
    """What the process that holds the run says."""
    if look.progress is None or look.finished:  # it may have said so before its end
        return ""
    lines = [stage["line"] for stage in look.progress.get("stages", [])]
    holds = look.progress.get("holds")
    if holds:
        devices = f", {holds['devices']} device{'' if holds['devices'] == 1 else 's'}" if holds["devices"] else ""
        lines.append(f"holds: {holds['pool']}{devices}")
    return "\n".join(lines)


def _results(status: dict[str, Any]) -> str:
    """The table by round, of the last rounds that have begun."""
    begun = [entry for entry in status["rounds"] if entry["began"] is not None][-MOST_ROUNDS:]
    return rounds_text({**status, "rounds": begun}) if begun else ""
