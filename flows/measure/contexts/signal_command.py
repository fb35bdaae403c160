"""`mopd analyze signal`: makes what is missing, writes the results, prints them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.command import check_out
from flows.measure.contexts.analysis import Analysis, open_analysis
from flows.measure.contexts.signal import read_choices, reference_of, signal_folder, signal_results
from flows.measure.contexts.signal_report import signal_report
from flows.runtime.launch import command_session, launch
from flows.runtime.shell import shell_command
from storage.runs import RunFolder


def signal_command(
    run_dir: Path,
    round: int,
    *,
    variants: Sequence[str],
    renderings: Sequence[str],
    orders: Sequence[str],
    reference: str | None,
    overrides: list[str],
    out: Path | None,
) -> int:
    """Make what is missing of the contexts and scores, then table, page, CSV and plot. Returns the exit code."""
    choices = read_choices(variants, renderings, orders)
    against = reference_of(choices, reference)
    check_out(out)
    with command_session():
        folder = RunFolder.open(run_dir)
        target = out or signal_folder(folder, round)
        analysis = open_analysis(folder, round, choices, overrides)
        if analysis.missing(folder):
            contexts = [choice.text for choice in choices]
            launch(
                "flows.measure.contexts.flow:contexts_flow",
                run_dir=str(folder.path),
                round=round,
                contexts=contexts,
                overrides=overrides,
            )
        command = shell_command(
            "analyze signal",
            run_dir,
            round=round,
            variants=variants,
            renderings=renderings,
            orders=orders,
            reference=reference,
            set=overrides,
            out=out,
        )
        results = signal_results(folder, analysis, against)
        report = signal_report(results, command=command)
        files = report.write(target)
        print(f"\n{report.terminal()}\n\nresults: {target}: {files}\n{_where(folder, analysis)}")
    return 0


def _where(folder: RunFolder, analysis: Analysis) -> str:
    names = analysis.names(folder).items()
    listed = ", ".join(f"{context} ('{name}')" if name != context else name for context, name in names)
    return f"rows by prompt, in mopd sql: signals, by condition: {listed}"
