"""`mopd analyze signal`: makes what is missing, writes the results, prints them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.analysis import Analysis, open_analysis
from flows.analyze_signal import read_choices, reference_of, signal_folder, signal_results, write_signal_files
from flows.command import check_out
from flows.command_text import shell_command
from flows.launch import command_session, launch
from flows.signal_report import terminal_text
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
        if analysis.plan.missing_of(folder, analysis.needed(folder)):
            contexts = [choice.text for choice in choices]
            launch(
                "flows.analyze_flow:contexts_flow",
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
        write_signal_files(results, target, command=command)
        print(f"\n{terminal_text(results)}\n\n{_where(folder, analysis, target)}")
    return 0


def _where(folder: RunFolder, analysis: Analysis, out: Path) -> str:
    names = {context: part.name for context, part in analysis.parts.items()}
    own = [context for context, name in names.items() if not name]
    sides = ", ".join(f"{name} ({context})" if name != context else name for context, name in names.items() if name)
    lines = [f"results: {out}: signal.md, signal.csv, plot.png", "rows by prompt, in mopd sql:"]
    lines[1] += f" signals ({', '.join(own)})" if own else ""
    lines[1] += f"{';' if own else ''} side_signals, by name: {sides}" if sides else ""
    return "\n".join(lines)
