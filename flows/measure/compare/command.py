"""`mopd compare`: the same prompts and the same first rollouts, then each arm on its own policy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from flows.folder.open import run_lock
from flows.measure.compare.arms import Arm, Job, arms_of, jobs_of
from flows.measure.compare.processes import Processes
from flows.measure.compare.results import ComparisonResults, comparison_report, read_results
from flows.measure.compare.runs import Runs, Say
from flows.plan.conditions import changed_settings
from flows.plan.stage import free_settings, is_free
from flows.report.report import Report, machine
from flows.runtime.exit_code import FAILURE
from flows.runtime.interrupts import orderly_end
from flows.runtime.launch import prefect_server, set_environment
from flows.runtime.shell import shell_command
from mopd.errors import InputError
from storage.runs import RUN_FILE, RunFolder
from storage.stores.address import open_store
from storage.stores.files import make_folder, write_replacing

COMPARE_FILE = "compare.json"
FORMAT = 1


@dataclass(frozen=True)
class Comparison:
    """What is to be compared, and where."""

    out: Path
    config: Path
    jobs: list[Job]
    command: str
    workers: int
    """Runs at once."""

    @property
    def arms(self) -> list[Arm]:
        """The arms; the others are forks of the first and are compared with it."""
        return list(dict.fromkeys(job.arm for job in self.jobs))

    @property
    def seeds(self) -> list[int]:
        """The seeds."""
        return list(dict.fromkeys(job.seed for job in self.jobs))


def compare_command(comparison: Comparison) -> int:
    """Run what is missing of a comparison, write its results, print its table. Returns the exit code."""
    say = partial(print, flush=True)
    with orderly_end():
        results, report = compare(comparison, say)
    say(f"\n{report.terminal()}\n\nresults: {comparison.out / 'results.md'}, results.csv, results.json, plot.png")
    return FAILURE if results.unfinished else 0


def plan_comparison(
    config: Path, *, vary: Sequence[str], num_seeds: int, overrides: Sequence[str], out: Path | None, workers: int
) -> Comparison:
    """What these arguments ask for; nothing is written. Raises InputError."""
    if num_seeds < 1 or workers < 1:
        raise InputError("--seeds and --jobs: give a number of at least 1")
    jobs = jobs_of(config, arms_of(vary), num_seeds, list(overrides))
    command = shell_command("compare", config, vary=vary, seeds=num_seeds, set=overrides)
    return Comparison(out or Path("runs") / f"compare-{config.stem}", config, jobs, command, workers)


def compare(comparison: Comparison, say: Say) -> tuple[ComparisonResults, Report]:
    """Do what is missing of a comparison; its results, and the report on them as it was written.

    Raises InputError or StorageError for a folder that is not of this comparison, and for what is wrong with all runs.
    """
    _open(comparison)
    with run_lock(RunFolder(open_store(comparison.out), {})):
        runs = Runs(comparison.out, comparison.jobs, say, comparison.workers)
        if runs.note_finished() < len(comparison.jobs):
            say(f"{comparison.out}: {len(comparison.arms)} arms x {len(comparison.seeds)} seeds; {runs.progress()}")
            set_environment()
            with prefect_server():  # one for all runs, which find it by their environment
                processes = Processes(comparison.out, say)
            runs.work(processes, lambda: write_results(comparison, runs.states))
        return write_results(comparison, runs.states)


def write_results(comparison: Comparison, states: dict[str, str]) -> tuple[ComparisonResults, Report]:
    """Write table, page and plot from what is on disk now."""
    results = read_results(comparison.out, comparison.jobs, states)
    report = comparison_report(results, command=comparison.command, about=_about(comparison))
    report.write(comparison.out)
    return results, report


def _about(comparison: Comparison) -> str:
    settings = comparison.jobs[0].settings
    generate = settings.generate
    return (
        f"{settings.model.path}, {settings.rounds} rounds of {generate.num_prompts} prompts x {generate.num_samples} "
        f"rollouts, seeds {', '.join(map(str, comparison.seeds))}. All arms of a seed have the same prompts, the same "
        f"held-out prompts and the same rollouts of round 0. {machine()}, "
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC."
    )


def _open(comparison: Comparison) -> None:
    """Make the folder, or check that it is of this comparison. Raises InputError or StorageError."""
    out = comparison.out
    document = {
        "format": FORMAT,
        "config": str(comparison.config),
        "arms": {arm.name: list(arm.overrides) for arm in comparison.arms},
        "seeds": comparison.seeds,
        "command": comparison.command,
    }
    if (out / COMPARE_FILE).exists():
        _check_same(out, json.loads((out / COMPARE_FILE).read_text()), document)
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is not empty and was not made by mopd compare; choose another --out")
    for job in comparison.jobs:
        _check_run(out / "runs" / job.name, job)
    make_folder(out)
    write_replacing(out, out / COMPARE_FILE, json.dumps(document, indent=2).encode())


def _check_same(out: Path, kept: dict[str, Any], asked: dict[str, Any]) -> None:
    """The first arm is the one that the others were forked from; no arm or seed is left out that was run."""
    first, wanted = next(iter(kept["arms"])), next(iter(asked["arms"]))
    if first != wanted:
        raise InputError(f"{out}: its first arm is {first}, not {wanted}; name that one first, or choose another --out")
    for what in ("arms", "seeds"):
        left_out = [str(item) for item in kept[what] if item not in asked[what]]
        if left_out:
            raise InputError(f"{out}: has {what} {', '.join(left_out)} too; keep them, or choose another --out")


def _check_run(folder: Path, job: Job) -> None:
    """A run that is there has the job's settings, but for those with which a run may be continued."""
    if (folder / RUN_FILE).exists():
        run = RunFolder.open(folder)
        changed = changed_settings(run, job.settings)
        free = ("rounds", *free_settings(job.settings))
        refused = {key: pair for key, pair in changed.items() if not is_free(key, free)}
        if refused:
            raise InputError(run.refusal(refused))
