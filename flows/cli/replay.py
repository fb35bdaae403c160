"""What is there, under other settings, and by another verifier: `mopd fork`, `rerun` and the like; docs/replay.md."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from flows.cli.options import Name, Run, Sets, Verifier, WholeNumber
from mopd.errors import InputError


def fork(run: Run, new: Run, /, *, round: WholeNumber, overrides: Sets = ()) -> int:
    """Make a new run that goes on from a round under other settings.

    Args:
        run: the folder of the run that has the rounds before
        new: the new run's folder; mopd run NEW starts it
        round: the first round that is run again, from 0 on
        overrides: e.g. train.objective=grpo; may be repeated
    """
    from flows.cli.actions.replay import fork_command

    return fork_command(run, round, list(overrides), new)


def rerun(
    run: Run,
    /,
    *,
    round: WholeNumber | None = None,
    stage: Annotated[str | None, Parameter(name="--from", metavar="STAGE")] = None,
    overrides: Sets = (),
    undo: bool = False,
) -> int:
    """Go back to a stage of a round in the run itself, and go on under other settings; or take that back.

    What is downstream of it is superseded, and kept until mopd gc.

    Args:
        run: the run's folder
        round: the round that is redone, from 0 on
        stage: draw, generate, verify, condition, score, train or evaluate: what comes before it stays
        overrides: e.g. train.teacher=frozen; may be repeated
        undo: bring back what the last rerun superseded
    """
    from flows.cli.actions.replay import rerun_command, undo_command
    from flows.folder.replay.rerun import what_is_redone

    redone = what_is_redone(round, stage, overrides, undo=undo)
    return undo_command(run) if redone is None else rerun_command(run, *redone, list(overrides))


def condition(
    run: Run, /, *, round: WholeNumber, variant: Name | None = None, name: Name | None = None, overrides: Sets = ()
) -> int:
    """Make other contexts of rollouts that are there.

    Args:
        run: the run's folder
        round: whose rollouts
        variant: the same as --set condition.variant=VARIANT
        name: what their rows are known by (default: the variant)
        overrides: e.g. condition.rendering=turns; may be repeated
    """
    from flows.cli.actions.replay import replay_command

    name = variant if name is None else name
    if name is None:
        raise InputError("--name: needed where no --variant is given")
    by_variant = [] if variant is None else [f"condition.variant={variant}"]
    return replay_command(run, round, name, [*by_variant, *overrides], scores=False)


def score(run: Run, /, *, round: WholeNumber, name: Name, overrides: Sets = ()) -> int:
    """Make scores of other contexts, or by another teacher.

    Args:
        run: the run's folder
        round: whose rollouts
        name: what their rows are known by
        overrides: e.g. train.teacher=frozen; may be repeated
    """
    from flows.cli.actions.replay import replay_command

    return replay_command(run, round, name, list(overrides), scores=True)


def reverify(
    run: Run,
    /,
    *,
    verifier: Verifier | None = None,
    round: WholeNumber | None = None,
    overrides: Sets = (),
    again: bool = False,
    apply: bool = False,
    json: bool = False,
) -> int:
    """Judge rollouts that are there by another verifier, and say what that would change.

    Args:
        run: the run's folder
        verifier: its name, or package.module:function (default: the one that judged, of the version that is here)
        round: whose rollouts (default: all rounds that are judged)
        overrides: e.g. verify.success_threshold=0.5; may be repeated
        again: the same verifier once more, which should say the same
        apply: make it the run's: mopd rerun from verify on
        json: for programs
    """
    from flows.cli.actions.replay import rerun_command
    from flows.measure.reverify.command import reverify_command
    from flows.measure.reverify.request import ReverifyRequest

    if apply and json:
        raise InputError("--json: goes without --apply; mopd status RUN --json tells of the run afterwards")
    redo = reverify_command(run, ReverifyRequest(round, verifier, overrides, again, apply), as_json=json)
    return rerun_command(run, redo.round, "verify", redo.overrides) if apply else 0
