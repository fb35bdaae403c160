"""`mopd run`: checks the inputs, starts what Prefect needs, runs the flow, shows where it ended."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from flows.fork import overridden
from flows.patience import CLIENT_SETTINGS, PATIENCE
from flows.plan import RunPlan
from flows.prepare import ended_cleanly, open_run
from flows.progress import Console
from flows.signals import orderly_end
from flows.worker import warm_up
from mopd.errors import InputError
from mopd.settings import Settings, load_settings
from storage.runs import RunFolder

QUIET = {
    **CLIENT_SETTINGS,
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",
    "PYTHONWARNINGS": "ignore:resource_tracker:UserWarning",
}
"""Prefect's client is patient by us; its log goes to its server; the terminal shows progress, and errors once.

Workers end without tearing themselves down, so Python's resource tracker frees their semaphores; it needn't say so."""


def run_command(config: Path, run_dir: Path | None, overrides: list[str], *, verbose: bool = False) -> int:
    """Run a config, or go on with a run folder by its own settings, to the end and print the table by round.

    Returns the exit code.
    """
    with orderly_end():
        settings, run_dir = what_to_run(config, run_dir, overrides)
        set_environment(verbose)
        Console.terminal = sys.stdout
        if (run_dir / "run.json").exists() and _nothing_to_do(open_run(settings, run_dir, config=config.stem)):
            print(f"{run_dir}: finished already, nothing to do", flush=True)
        else:
            _run_flow(settings, run_dir, config)
        _show_end(RunFolder.open(run_dir))
    return 0


def what_to_run(config: Path, run_dir: Path | None, overrides: list[str], *, prefix: str = "") -> tuple[Settings, Path]:
    """Settings and run folder: `config` names a file of settings, or a run folder, which has them.

    Without `run_dir` a new folder under runs/ is named after the file, `prefix` first. Raises InputError.
    """
    if not config.is_dir():
        settings = load_settings(config, overrides)
        return settings, run_dir or Path("runs") / f"{prefix}{config.stem}-{datetime.now():%Y%m%d-%H%M%S}"
    folder = RunFolder.open(config)
    if run_dir is not None and run_dir.resolve() != folder.path:
        raise InputError(f"--run {run_dir}: {config} is a run folder and is continued where it is; leave --run out")
    return overridden(folder, RunPlan.of(folder).settings, overrides), config


def _run_flow(settings: Any, run_dir: Path, config: Path) -> None:
    """The flow, on the user's Prefect server or on one of its own; inputs are checked while that one starts."""
    from flows.server import start_prefect_server

    warm_up()
    start = start_prefect_server()
    folder = open_run(settings, run_dir, config=config.stem)
    print(f"{folder.path}: {_sizes(settings)}", flush=True)
    from flows.run import run_flow

    if start is not None:
        start.wait()
    try:
        run_flow(settings, str(folder.path))
    except Exception:
        if not PATIENCE.given_up or RunPlan.of(folder).missing(folder):
            raise  # else only the server does not know that the run has ended


def _nothing_to_do(folder: RunFolder) -> bool:
    """A finished run whose last process ended well needs no Prefect: nothing is stale there either."""
    return ended_cleanly(folder) and not RunPlan.of(folder).missing(folder)


def set_environment(verbose: bool) -> None:
    """Keep Prefect's log out of the terminal, unless it is asked for."""
    for name, value in QUIET.items():
        if not (verbose and name.startswith("PREFECT_LOGGING")):
            os.environ.setdefault(name, value)


def check_out(out: Path | None) -> None:
    """Raises InputError where the folder for results is a file."""
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: is a file; name a folder")


def _sizes(settings: Any) -> str:
    generate = settings.generate
    return (
        f"{settings.rounds} rounds of {generate.num_prompts} prompts x {generate.num_samples} rollouts, "
        f"{settings.condition.variant.kind} contexts"
    )


def _show_end(folder: RunFolder) -> None:
    from flows.status import rounds_text, run_status

    print(f"\n{rounds_text(run_status(folder))}\n\nrun: {folder.path}")
