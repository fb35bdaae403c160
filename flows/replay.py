"""`mopd condition` and `mopd score`: other contexts and scores of rollouts that are there."""

from __future__ import annotations

import sys
from pathlib import Path

from flows.command import set_environment
from flows.other_contexts import OtherContexts, open_contexts
from flows.plan import RunPlan
from flows.progress import Console
from flows.signals import orderly_end
from flows.worker import warm_up
from storage.runs import RunFolder


def replay_command(run_dir: Path, round: int, name: str, overrides: list[str], *, scores: bool) -> int:
    """Make the contexts, and the scores where they are asked for, under a name. Returns the exit code."""
    from flows.server import start_prefect_server

    with orderly_end():
        set_environment(verbose=False)
        Console.terminal = sys.stdout
        folder = RunFolder.open(run_dir)
        other = open_contexts(folder, round, name, overrides, scores=scores)
        if RunPlan.of(folder).missing_of(folder, other.made_by(scores=scores)):
            warm_up()
            start = start_prefect_server()
            from flows.replay_flow import replay_flow

            if start is not None:
                start.wait()
            replay_flow(str(folder.path), round, name, other.overrides, scores)
        print(_end_text(folder, other, scores=scores))
    return 0


def _end_text(folder: RunFolder, other: OtherContexts, *, scores: bool) -> str:
    made = [manifest for shard in other.made_by(scores=scores) if (manifest := shard.find(folder)) is not None]
    rows = [
        f"{sum(manifest.rows for manifest in made if manifest.table == table)} rows in {table}"
        for table in dict.fromkeys(manifest.table for manifest in made)
    ]
    table, overrides = "scores" if scores else "contexts", " ".join(f"--set {text}" for text in other.overrides)
    name = next(manifest.name for manifest in made if manifest.table == table)
    return (
        f"{folder.path}: round {other.round}, {', '.join(rows)}\n"
        f"to look at them: mopd sql {folder.path} \"FROM {table} WHERE condition = '{name}'\"\n"
        f"to train on them: mopd fork {folder.path} --round {other.round} {overrides} NEW"
    )
