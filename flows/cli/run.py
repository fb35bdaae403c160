"""`mopd run`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from flows.cli.options import Config, RunOption, Sets


def run(
    config: Config,
    /,
    *,
    run_dir: RunOption = None,
    overrides: Annotated[Sets, Parameter(help="e.g. train.learning_rate=1e-5; may be repeated")] = (),
    verbose: Annotated[bool, Parameter(help="show Prefect's log too")] = False,
) -> int:
    """Run a config, or continue a run where it was lost."""
    from flows.command import run_command

    return run_command(config, run_dir, list(overrides), verbose=verbose)
