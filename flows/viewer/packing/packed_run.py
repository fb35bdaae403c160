"""A run in a file: its groups and the tables of them, as many as there is room for."""

from __future__ import annotations

from collections.abc import Callable

from flows.runtime.shell import shell_command
from flows.viewer.documents.prompts import prompts
from flows.viewer.documents.viewed import Json, ViewedRun
from flows.viewer.packing.contents import Kept, document_key, kept_contents
from flows.viewer.packing.kept_groups import pack_groups
from flows.viewer.packing.packer import Packer, packed

PROMPTS_SHARE = 0.25
"""Of the room, that the table of prompts takes at most."""
TABLES_SHARE = 0.05
"""Of the room, for the tables and words of the rollouts that are kept; groups that are too many for it are left out."""
SHORT = 200
"""Characters of a question or an answer, where there is no room for more."""


def pack_run(run: ViewedRun, packer: Packer, room: float, say: Callable[[int, int], None]) -> list[str]:
    """Pack what fits into so many bytes; a line for what is left out, with where the run lies.

    `say` is told how many groups of how many are done.
    """
    limit = packer.size + room
    rows: list[Json] = prompts(run)["rows"]
    groups_limit = limit - min(_size(run, rows), PROMPTS_SHARE * room)
    packer.max_bytes = groups_limit - TABLES_SHARE * room
    kept = pack_groups(run, packer, say)
    packer.max_bytes = groups_limit
    while not packer.has_room(tables := dict(kept_contents(run, kept))) and kept.num_kept:
        packer.drop_last()
        kept.keep(packer.places, run)
    for key, document in tables.items():
        packer.add(key, document)
    left_out = _pack_prompts(run, rows, kept, packer, max(limit - packer.size, 0))
    if kept.num_kept < kept.num_groups:
        share = f"{kept.num_kept:,} of {kept.num_groups:,} groups are in the file"
        left_out.append(f"{share}, of each round about as many, those with both outcomes first")
    ways = f"all: {shell_command('view', run.folder.address)}, or a higher --max-megabytes"
    return [f"{run.id}: {line}; {ways}" for line in left_out]


def _pack_prompts(run: ViewedRun, rows: list[Json], kept: Kept, packer: Packer, room: float) -> list[str]:
    """The table of prompts: short texts where whole ones don't fit, then as many rows as do, of kept groups first."""
    there = {prompt for of_round in kept.prompts.values() for prompt in of_round}
    table, note = rows, None
    if _size(run, rows) > room:
        short = [{**row, **{name: (row[name] or "")[:SHORT] for name in ("question", "answer")}} for row in rows]
        table = sorted(short, key=lambda row: row["prompt_id"] not in there)
        while table and (size := _size(run, table)) > room:
            table = table[: int(0.9 * len(table) * room / size)]
        note = f"{len(table):,} of {len(rows):,} prompts are in the table, with {SHORT} characters of each text"
    packer.add(document_key(run, "prompts"), {"rows": table, "note": note})
    return [] if note is None else [note]


def _size(run: ViewedRun, rows: list[Json]) -> int:
    """Of the table of prompts in a file, in bytes."""
    return len(packed({document_key(run, "prompts"): {"rows": rows, "note": None}}))
