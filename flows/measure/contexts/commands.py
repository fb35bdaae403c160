"""`mopd analyze signal` and `mopd probe`: make what is missing, write the results, print them."""

from __future__ import annotations

from pathlib import Path

from flows.command import check_out, what_to_run
from flows.folder.open import open_run, require_free
from flows.folder.replay.other_contexts import check_round
from flows.measure.contexts.analysis import open_analysis
from flows.measure.contexts.probe import probe_choices, read_probe
from flows.measure.contexts.probe_report import probe_report
from flows.measure.contexts.request import ContextsRequest
from flows.measure.contexts.signal import reference_of, signal_results
from flows.measure.contexts.signal_report import signal_report
from flows.plan.run import RunPlan
from flows.report.report import Report
from flows.runtime.launch import command_session, launch
from flows.runtime.shell import shell_command
from flows.runtime.worker import warm_up
from mopd.errors import InputError
from mopd.settings.context_choice import ContextChoice
from storage.runs import RunFolder
from storage.stores.address import Address


def signal_command(run_dir: Address, request: ContextsRequest, reference: str | None) -> int:
    """Make what is missing of the contexts and scores, then table, page, CSV and plot. Returns the exit code."""
    choices = request.choices()
    against = reference_of(choices, reference)
    check_out(request.out)
    with command_session():
        folder = RunFolder.open(run_dir)
        analysis = open_analysis(folder, request.round, choices, list(request.overrides))
        if analysis.missing(folder):
            require_free(folder)
            launch(
                "flows.measure.contexts.flow:contexts_flow",
                run_dir=folder.address,
                round=request.round,
                contexts=[choice.text for choice in choices],
                overrides=list(request.overrides),
            )
        command = request.command("analyze signal", run_dir, reference=reference)
        report = signal_report(signal_results(folder, analysis, against), command=command)
        _write_and_show(report, request.folder(folder, "signal"))
        print(_where(analysis.names(folder)))
    return 0


def probe_command(config: Address, run_dir: Address | None, request: ContextsRequest) -> int:
    """Make what is missing of a round's rollouts and of the contexts, then say what to train with. Returns 0."""
    check_out(request.out)
    round = request.round
    with command_session():
        settings, run_dir = what_to_run(config, run_dir, list(request.overrides), prefix="probe-")
        choices = probe_choices(settings, request)
        if not 0 <= round < settings.rounds:
            raise InputError(f"--round {round}: the run has rounds 0 to {settings.rounds - 1}")
        warm_up()
        folder = open_run(settings, run_dir, config=Path(config).stem)
        _check_policy(folder, round)
        target = request.folder(folder, "probe")
        if not _is_made(folder, round, choices):
            print(f"{folder.address}: {len(choices)} contexts, {settings.generate.num_prompts} prompts", flush=True)
            launch(
                "flows.measure.contexts.flow:probe_flow",
                settings=settings,
                run_dir=folder.address,
                round=round,
                variants=tuple(choice.text for choice in choices),
                out=str(target),
            )
        command = request.command("probe", config, run=run_dir)
        results = read_probe(folder, round, choices)
        _write_and_show(probe_report(results, command=command), target)
        print(_where(results.conditions))
    return 0


def _write_and_show(report: Report, folder: Path) -> None:
    files = report.write(folder)
    print(f"\n{report.terminal()}\n\nresults: {folder}: {files}")


def _where(conditions: dict[str, str]) -> str:
    listed = ", ".join(f"{context} ('{name}')" if name != context else name for context, name in conditions.items())
    return f"rows by prompt, in mopd sql: signals, by condition: {listed}"


def _is_made(folder: RunFolder, round: int, choices: list[ContextChoice]) -> bool:
    """Whether nothing of the probe is missing."""
    plan = RunPlan.of(folder)
    if plan.missing_of(folder, plan.rounds[round].needed(folder).verdicts):
        return False
    return not open_analysis(folder, round, choices, [], answers=True).missing(folder)


def _check_policy(folder: RunFolder, round: int) -> None:
    """A later round is sampled by its own policy, which the rounds before it train."""
    plan = RunPlan.of(folder)
    check_round(folder, plan, round)
    if round and plan.rounds[round - 1].policy.find(folder) is None:
        raise InputError(
            f"--round {round}: its policy is not trained yet; {shell_command('run', folder.address)} first"
        )
