"""`mopd condition` and `mopd score`: other contexts and scores of rollouts that are there."""

from __future__ import annotations

from pathlib import Path

from flows.command_text import shell_command
from flows.launch import command_session, launch
from flows.other_contexts import OtherContexts, open_contexts
from flows.plan import RunPlan
from storage.runs import RunFolder


def replay_command(run_dir: Path, round: int, name: str, overrides: list[str], *, scores: bool) -> int:
    """Make the contexts, and the scores where they are asked for, under a name. Returns the exit code."""
    with command_session():
        folder = RunFolder.open(run_dir)
        other = open_contexts(folder, round, name, overrides, scores=scores)
        if RunPlan.of(folder).missing_of(folder, other.made_by(scores=scores)):
            launch(
                "flows.replay_flow:replay_flow",
                run_dir=str(folder.path),
                round=round,
                name=name,
                overrides=other.overrides,
                scores=scores,
            )
        print(_end_text(folder, other, scores=scores))
    return 0


def _end_text(folder: RunFolder, other: OtherContexts, *, scores: bool) -> str:
    made = [manifest for shard in other.made_by(scores=scores) if (manifest := shard.find(folder)) is not None]
    rows = [
        f"{sum(manifest.rows for manifest in made if manifest.table == table)} rows in {table}"
        for table in dict.fromkeys(manifest.table for manifest in made)
    ]
    table = "scores" if scores else "contexts"
    name = next(manifest.name for manifest in made if manifest.table == table)
    look = shell_command("sql", folder.path, f"FROM {table} WHERE condition = '{name}'")
    fork = shell_command("fork", folder.path, round=other.round, set=other.overrides)
    return (
        f"{folder.path}: round {other.round}, {', '.join(rows)}\nto look at them: {look}\nto train on them: {fork} NEW"
    )
