"""What `mopd fork`, `rerun`, `condition` and `score` do: what is there, under other settings."""

from __future__ import annotations

from flows.command import is_finished, launch_to_end, show_end
from flows.folder.open import hold_run, require_free
from flows.folder.replay.fork import fork_run
from flows.folder.replay.other_contexts import OtherContexts, open_contexts
from flows.folder.replay.rerun import is_begun, is_redone, plan_rerun, plan_undo
from flows.plan.run import RunPlan
from flows.plan.shard import Shard
from flows.report.artifacts import find_manifests
from flows.report.redone import turn_text
from flows.report.sql.knowledge import leave_catalog
from flows.report.text import Cell, text_table
from flows.runtime.launch import command_session, launch
from flows.runtime.shell import shell_command
from storage.runs import RunFolder
from storage.stores.address import Address

BESIDE = "control, probe"
"""The heading of what isn't trained on."""


def fork_command(parent: Address, round: int, overrides: list[str], new: Address) -> int:
    """Fork, and say what came along and how to go on. Returns the exit code."""
    folder = fork_run(parent, round, overrides, new)
    plan = RunPlan.of(folder)
    rows = [_came_along(folder, f"round {number}", part.all()) for number, part in enumerate(plan.rounds)]
    evaluations = plan.shown_evaluations(folder)
    rows += [_came_along(folder, f"policy {number}", part.all()) for number, part in evaluations.items()]
    print(f"{folder.address}: forked from {folder.lineage['path']} at round {round}; shards that came along:")
    print(f"\n{text_table(rows)}\n\nto start it: {shell_command('run', new)}")
    return 0


def _came_along(folder: RunFolder, where: str, shards: list[Shard]) -> dict[str, Cell]:
    """How many of some shards are there, by table; of control and probe, all together."""
    row: dict[str, Cell] = {"": where}
    columns = [(shard, BESIDE if shard.name else shard.table) for shard in shards]
    for column in sorted(dict.fromkeys(name for _, name in columns), key=lambda name: name == BESIDE):
        planned = [shard for shard, name in columns if name == column]
        row[column] = f"{len(find_manifests(folder, planned))}/{len(planned)}"
    return row


def rerun_command(run_dir: Address, round: int, stage: str, overrides: list[str]) -> int:
    """Say what going back to the stage of a round comes to, then do it, to the run's end. Returns the exit code."""
    with command_session():
        folder = RunFolder.open(run_dir)

        def prepare() -> None:
            with hold_run(folder):
                if is_begun(folder, round, stage, overrides):
                    print(f"{folder.address}: was redone so already, and goes on", flush=True)
                else:
                    turn = plan_rerun(folder, round, stage, overrides)
                    print(f"{folder.address}: redone from {stage} of round {round}; {turn_text(turn)}\n", flush=True)

        def has_ended(folder: RunFolder) -> bool:
            return is_redone(folder, round, stage, overrides) and is_finished(folder)

        asked = {"round": round, "stage": stage, "overrides": overrides}
        launch_to_end("flows.redo:rerun_flow", folder.store, prepare, has_ended, **asked)
        show_end(RunFolder.open(run_dir))
    return 0


def undo_command(run_dir: Address) -> int:
    """Bring back what the last rerun superseded: one write of run.json. Returns the exit code."""
    with hold_run(RunFolder.open(run_dir)):
        turn = plan_undo(RunFolder.open(run_dir))
        folder = turn.save()
        leave_catalog(folder)
    print(f"{folder.address}: as it was before round {turn.round} was redone; {turn_text(turn)}")
    if turn.missing:
        print(f"\nto go on with it: {shell_command('run', run_dir)}")
    return 0


def replay_command(run_dir: Address, round: int, name: str, overrides: list[str], *, scores: bool) -> int:
    """Make the contexts, and the scores where they are asked for, under a name. Returns the exit code."""
    with command_session():
        folder = RunFolder.open(run_dir)
        contexts = open_contexts(folder, round, name, overrides, scores=scores)
        if RunPlan.of(folder).missing_of(folder, contexts.made_by(scores=scores)):
            require_free(folder)
            launch(
                "flows.run:replay_flow",
                run_dir=folder.address,
                round=round,
                name=name,
                overrides=contexts.overrides,
                scores=scores,
            )
        print(_end_text(folder, contexts, scores=scores))
    return 0


def _end_text(folder: RunFolder, contexts: OtherContexts, *, scores: bool) -> str:
    made = find_manifests(folder, contexts.made_by(scores=scores))
    rows = [
        f"{sum(manifest.rows for manifest in made if manifest.table == table)} rows in {table}"
        for table in dict.fromkeys(manifest.table for manifest in made)
    ]
    table = "scores" if scores else "contexts"
    name = next(manifest.name for manifest in made if manifest.table == table)
    look = shell_command("sql", folder.address, f"FROM {table} WHERE condition = '{name}'")
    fork = shell_command("fork", folder.address, round=contexts.round, set=contexts.overrides)
    known = f"; they were made before, and are known as '{name}'" if name != contexts.name else ""
    head = f"{folder.address}: round {contexts.round}, {', '.join(rows)}{known}"
    return f"{head}\nto look at them: {look}\nto train on them: {fork} NEW"
