"""`mopd fork`, `mopd condition` and `mopd score`: what is there, under other settings; docs/replay.md."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.cli.options import Round, Run, Sets
from mopd.errors import InputError

OtherSets = Annotated[Sets, Parameter(help="e.g. train.objective=grpo; may be repeated")]


def fork(
    run: Run,
    new: Annotated[Path, Parameter(help="the new run's folder; mopd run NEW starts it")],
    /,
    *,
    round: Round,
    overrides: OtherSets = (),
) -> int:
    """Make a new run that goes on from a round under other settings."""
    from flows.fork import fork_command

    return fork_command(run, round, list(overrides), new)


def condition(
    run: Run,
    /,
    *,
    round: Round,
    variant: Annotated[str | None, Parameter(help="the same as --set condition.variant=VARIANT")] = None,
    name: Annotated[str | None, Parameter(help="of the side that they stand on (default: the variant)")] = None,
    overrides: OtherSets = (),
) -> int:
    """Make other contexts of rollouts that are there."""
    from flows.side import side_command

    name = name or variant
    if name is None:
        raise InputError("--name: needed where no --variant is given")
    by_variant = [] if variant is None else [f"condition.variant={variant}"]
    return side_command(run, round, name, [*by_variant, *overrides], scores=False)


def score(
    run: Run,
    /,
    *,
    round: Round,
    name: Annotated[str, Parameter(help="of the side that they stand on")],
    overrides: OtherSets = (),
) -> int:
    """Make scores of other contexts, or by another teacher."""
    from flows.side import side_command

    return side_command(run, round, name, list(overrides), scores=True)
