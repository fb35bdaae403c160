"""`mopd run`."""

from __future__ import annotations

from pathlib import Path

from flows.cli.options import RunFolder, Sets


def run(config: Path, /, *, run_dir: RunFolder | None = None, overrides: Sets = (), verbose: bool = False) -> int:
    """Run a config, or continue a run where it was lost.

    Args:
        config: a YAML file of settings, e.g. examples/tiny.yaml, or a run's folder
        run_dir: the run's folder (default: a new one under runs/)
        overrides: e.g. train.learning_rate=1e-5; may be repeated
        verbose: show Prefect's log too
    """
    from flows.command import run_command

    return run_command(config, run_dir, list(overrides), verbose=verbose)
