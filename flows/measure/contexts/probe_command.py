"""`mopd probe`: makes what is missing, writes the results, prints them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.command import check_out, what_to_run
from flows.folder.open import open_run
from flows.folder.other_contexts import check_round
from flows.measure.contexts.analysis import open_analysis
from flows.measure.contexts.probe import probe_choices, probe_folder, read_probe
from flows.measure.contexts.probe_report import probe_report
from flows.plan.run import RunPlan
from flows.runtime.launch import command_session, launch
from flows.runtime.shell import shell_command
from flows.runtime.worker import warm_up
from mopd.errors import InputError
from mopd.settings.context_choice import ContextChoice
from storage.runs import RunFolder


def probe_command(
    config: Path,
    run_dir: Path | None,
    round: int,
    *,
    variants: Sequence[str],
    renderings: Sequence[str],
    orders: Sequence[str],
    overrides: list[str],
    out: Path | None,
) -> int:
    """Make what is missing of a round's rollouts and of the contexts, then say what to train with. Returns 0."""
    check_out(out)
    with command_session():
        settings, run_dir = what_to_run(config, run_dir, overrides, prefix="probe-")
        choices = probe_choices(settings, variants, renderings, orders)
        if not 0 <= round < settings.rounds:
            raise InputError(f"--round {round}: the run has rounds 0 to {settings.rounds - 1}")
        warm_up()
        folder = open_run(settings, run_dir, config=config.stem)
        _check_policy(folder, round)
        target = out or probe_folder(folder, round)
        if not _is_made(folder, round, choices):
            print(f"{folder.path}: {len(choices)} contexts, {settings.generate.num_prompts} prompts", flush=True)
            launch(
                "flows.measure.contexts.flow:probe_flow",
                settings=settings,
                run_dir=str(folder.path),
                round=round,
                variants=tuple(choice.text for choice in choices),
                out=str(target),
            )
        results = read_probe(folder, round, choices)
        command = shell_command(
            "probe",
            config,
            run=run_dir,
            round=round,
            variants=variants,
            renderings=renderings,
            orders=orders,
            set=overrides,
            out=out,
        )
        report = probe_report(results, command=command)
        files = report.write(target)
        print(f"\n{report.terminal()}\n\nresults: {target}: {files}")
    return 0


def _is_made(folder: RunFolder, round: int, choices: list[ContextChoice]) -> bool:
    """Whether nothing of the probe is missing."""
    plan = RunPlan.of(folder)
    if plan.missing_of(folder, plan.rounds[round].needed(folder).verdicts):
        return False
    analysis = open_analysis(folder, round, choices, [], answers=True)
    return not analysis.missing(folder)


def _check_policy(folder: RunFolder, round: int) -> None:
    """A later round is sampled by its own policy, which the rounds before it train."""
    plan = RunPlan.of(folder)
    check_round(folder, plan, round)
    if round and plan.rounds[round - 1].policy.find(folder) is None:
        raise InputError(f"--round {round}: its policy is not trained yet; {shell_command('run', folder.path)} first")
