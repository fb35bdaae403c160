"""`mopd run`: checks the inputs, starts what Prefect needs, runs the flow, shows where it ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from flows.folder.guards import raise_if_ended
from flows.folder.open import ended_cleanly, open_run
from flows.folder.replay.fork import overridden
from flows.plan.run import RunPlan
from flows.report.profile import write_profile
from flows.runtime.exit_code import RunStopped
from flows.runtime.launch import command_session, launch
from flows.runtime.profile import begin_profile, collected_spans
from flows.runtime.server.patience import PATIENCE
from mopd.errors import InputError
from mopd.settings import Settings, load_settings
from storage.runs import RunFolder, is_run
from storage.stores.address import Address, in_bucket, open_store
from storage.stores.base import Store


def run_command(
    config: Address, run_dir: Address | None, overrides: list[str], *, verbose: bool = False, profile: bool = False
) -> int:
    """Run a config, or go on with a run folder by its own settings, to the end and print the table by round.

    `profile`: then what took the time too; its timeline is left with the run. Returns the exit code.
    """
    if profile:
        begin_profile()
    with command_session(verbose=verbose):
        settings, run_dir = what_to_run(config, run_dir, overrides)
        if is_run(_store(settings, run_dir)) and _nothing_to_do(settings, run_dir, config):
            print(f"{run_dir}: finished already, nothing to do", flush=True)
        else:
            _run_flow(settings, run_dir, config)
        folder = RunFolder.open(_store(settings, run_dir))
        if profile:
            print(f"\n{write_profile(folder, collected_spans())}")
        show_end(folder)
    return 0


def what_to_run(
    config: Address, run_dir: Address | None, overrides: list[str], *, prefix: str = ""
) -> tuple[Settings, Address]:
    """Settings and where the run lies: `config` names a file of settings, or a run, which has them.

    Without `run_dir` a new folder under runs/ is named after the file, `prefix` first. Raises InputError.
    """
    if not in_bucket(config) and not Path(config).is_dir():
        settings = load_settings(Path(config), overrides)
        return settings, run_dir or Path("runs") / f"{prefix}{_stem(config)}-{datetime.now():%Y%m%d-%H%M%S}"
    folder = RunFolder.open(config)
    if run_dir is not None and open_store(run_dir).address != folder.address:
        raise InputError(f"--run {run_dir}: {config} is a run folder and is continued where it is; leave --run out")
    return overridden(folder, RunPlan.of(folder).settings, overrides), config


def _run_flow(settings: Settings, run_dir: Address, config: Address) -> None:
    """The flow; inputs are checked while its server starts."""

    def prepare() -> None:
        folder = open_run(settings, run_dir, config=_stem(config))
        print(f"{folder.address}: {_sizes(settings)}", flush=True)

    uses_vllm = settings.generate.engine == "vllm"
    store = _store(settings, run_dir)
    launch_to_end("flows.run:run_flow", store, prepare, is_finished, engine=uses_vllm, settings=settings)


def launch_to_end(
    flow: str, store: Store, prepare: Callable[[], object], has_ended: Callable[[RunFolder], bool], /, **parameters: Any
) -> None:
    """Run a flow that brings the run in `store` to its end, on the user's Prefect server or on one of its own."""
    try:
        launch(flow, prepare, run_dir=store.address, **parameters)
    except RunStopped:
        raise
    except Exception:
        if not (PATIENCE.given_up and has_ended(RunFolder.open(store))):
            raise  # else only the server does not know that the run has ended


def _store(settings: Settings, run_dir: Address) -> Store:
    return open_store(run_dir, endpoint=settings.store.endpoint)


def _stem(config: Address) -> str:
    return Path(config).stem


def is_finished(folder: RunFolder) -> bool:
    """Whether the run has all that its plan asks for."""
    return not RunPlan.of(folder).missing(folder)


def _nothing_to_do(settings: Settings, run_dir: Address, config: Address) -> bool:
    """A finished run whose last process ended well needs no Prefect: nothing is stale there either.

    Raises RunStopped for one that a guard ended, and that these settings don't let go on.
    """
    folder = open_run(settings, run_dir, config=_stem(config))
    is_clean = ended_cleanly(folder)
    raise_if_ended(folder)
    return is_clean and is_finished(folder)


def check_out(out: Path | None) -> None:
    """Raises InputError where the folder for results is a file."""
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: is a file; name a folder")


def _sizes(settings: Any) -> str:
    generate = settings.generate
    return (
        f"{settings.rounds} rounds of {generate.num_prompts} prompts x {generate.num_samples} rollouts, "
        f"{settings.condition.variant.kind} contexts{_ranks(settings.train)}"
    )


def _ranks(train: Any) -> str:
    """Who trains, where that is more than one process."""
    if train.ranks == 1:
        return ""
    return f", trained by {train.ranks} ranks" + (", each with a share (experimental)" if train.shard == "full" else "")


def show_end(folder: RunFolder) -> None:
    """Print the table by round, and where the run lies."""
    from flows.report.status.state import run_status
    from flows.report.status.text import rounds_text

    print(f"\n{rounds_text(run_status(folder))}\n\nrun: {folder.address}")
