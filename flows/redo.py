"""Flows that use again what a run has: from a stage of a round on in the run itself, or in a fork of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.runtime import flow_run
from pydantic import Field

from flows.folder.replay.fork import check_fork, fork_run
from flows.folder.replay.rerun import Turn, is_begun, plan_rerun, plan_undo, stage_names, what_is_redone
from flows.report.redone import turn_rows
from flows.report.sql.knowledge import leave_catalog
from flows.run import finish, in_charge
from storage.runs import RunFolder, is_run

StageName = Annotated[str, Field(json_schema_extra={"enum": stage_names()})]
"""A verb, which a form offers as a choice."""


def _name() -> str:
    return f"{flow_run.flow_name.removeprefix('mopd-')}-{Path(flow_run.parameters['run_dir']).name}"


@flow(name="mopd-rerun", flow_run_name=_name, persist_result=False)
def rerun_flow(
    run_dir: str,
    round: int | None = None,
    stage: StageName | None = None,
    overrides: tuple[str, ...] = (),
    undo: bool = False,
) -> str:
    """The run goes on from a stage of a round under its settings with the overrides, to its end; or that is taken back.

    What is downstream is superseded, and kept until `mopd gc`. One that was interrupted goes on. Returns where the run
    lies.

    Args:
        run_dir: the run's folder or `s3://bucket/prefix`
        round: the round that is redone, from 0 on
        stage: where in the round it begins; what comes before it stays
        overrides: of its settings, e.g. `train.teacher=frozen`
        undo: bring back what the last rerun superseded, and run nothing; goes with no round, stage or overrides
    """
    redone = what_is_redone(round, stage, overrides, undo=undo)
    folder = RunFolder.open(run_dir)
    with in_charge(folder):
        folder = RunFolder.open(run_dir)
        if redone is None:
            folder = _turn(plan_undo(folder))
            leave_catalog(folder)
        else:
            if not is_begun(folder, *redone, overrides):
                folder = _turn(plan_rerun(folder, *redone, overrides))
            finish(folder)
    return folder.address


def _turn(turn: Turn) -> RunFolder:
    """Say what is superseded, what comes back and what is to be made, then do it."""
    described = f"{turn.before.address}, from round {turn.round} on"
    create_table_artifact(key="mopd-rerun", table=turn_rows(turn), description=described)
    return turn.save()


@flow(name="mopd-fork", flow_run_name=_name, persist_result=False)
def fork_flow(run_dir: str, round: int, new: str, overrides: list[str], start: bool = True) -> str:
    """A new run that has the rounds of another one below `round`, and from there on its settings with the overrides.

    A second start with the same `new` goes on with it. Returns where the new run lies.

    Args:
        run_dir: the folder of the run that has the rounds before, or `s3://bucket/prefix`
        round: the first round that is run again, from 0 on
        new: where the new run goes, in the same store
        overrides: of its settings, e.g. `train.objective=grpo`
        start: run it to its end too
    """
    folder = RunFolder.open(new) if is_run(new) else fork_run(run_dir, round, overrides, new)
    check_fork(folder, run_dir, round, overrides)
    if start:
        with in_charge(folder):
            finish(folder)
    return folder.address
