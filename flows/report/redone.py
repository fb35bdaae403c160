"""What going back to a round leaves as it is, what it supersedes or brings back, and what is to be made then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from flows.folder.replay.rerun import Turn
from flows.plan.shard import Shard
from flows.plan.stage import STAGES
from flows.report.text import Cell, minute, text_table
from storage.shards import Manifest

Places = Counter[tuple[int, str]]
"""Numbers of shards by round and table."""


def turn_text(turn: Turn) -> str:
    """A table of shards by round and stage, headed by what stays as a whole."""
    before = f"rounds before {turn.round} stay as they are" if turn.round else "all rounds begin anew"
    rows = turn_rows(turn)
    return f"{before}; shards of the others:\n\n{text_table(rows)}" if rows else before


def turn_rows(turn: Turn) -> list[dict[str, Cell]]:
    """A row for each stage of a round: how many of its shards stay, are superseded, come back, are to be made."""
    stays = [one for one in turn.there if one.key not in turn.before.superseded | turn.after.superseded]
    columns = {
        "stay": _count(stays),
        "superseded": _count(turn.superseded),
        "brought back": _count(turn.restored),
        "to be made": _count(turn.missing),
    }
    used = {name: places for name, places in columns.items() if places}
    order = list(STAGES)
    places = sorted(sum(used.values(), Places()), key=lambda place: (place[0], order.index(place[1])))
    return [
        {"round": round, "stage": STAGES[table].name, **{name: used[name][round, table] or None for name in used}}
        for round, table in places
    ]


def _count(shards: Iterable[Manifest] | Iterable[Shard]) -> Places:
    return Counter((shard.round, shard.table) for shard in shards)


def redone_text(entry: dict[str, Any]) -> str:
    """A line for a rerun, as `lines_of` gives them."""
    settings, why = ", ".join(entry["set"]) or "the same settings", f": {entry['why']}" if entry["why"] else ""
    return f"redone from {entry['from']} of round {entry['round']} with {settings}, {minute(entry['when'])} UTC{why}"
