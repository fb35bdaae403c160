"""`mopd analyze signal`: does the teacher see what the verifier sees, under which context?"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flows.analysis import Analysis, open_analysis
from flows.command import check_out, set_environment
from flows.progress import Console
from flows.signal_report import SignalResults, signal_report
from flows.signals import orderly_end
from flows.worker import warm_up
from mopd.errors import InputError
from mopd.measures.signal_summary import summarize_signals
from mopd.settings.context_choice import ContextChoice, choice_grid
from storage.runs import RunFolder

DEFAULT_VARIANTS = ("none", "success", "positive", "failure", "contrastive", "random_peer", "score_ordered")
"""Compared where nothing else is asked for: what needs nothing of the rollouts."""
REFERENCE = "none"


def read_choices(variants: Sequence[str], renderings: Sequence[str], orders: Sequence[str]) -> list[ContextChoice]:
    """The contexts of `--variants`, `--renderings` and `--orders`. Raises InputError."""
    try:
        return choice_grid(variants, renderings, orders)  # type: ignore[arg-type]
    except ValueError as error:
        raise InputError(f"--variants: {error}") from None


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
    with orderly_end():
        set_environment(verbose=False)
        Console.terminal = sys.stdout
        folder = RunFolder.open(run_dir)
        target = out or signal_folder(folder, round)
        analysis = open_analysis(folder, round, choices, overrides)
        if analysis.plan.missing_of(folder, analysis.needed(folder)):
            _work(folder, analysis, choices, overrides)
        command = said_command(
            "analyze signal",
            run_dir,
            round=round,
            variants=variants,
            renderings=renderings,
            orders=orders,
            reference=reference,
            sets=overrides,
            out=out,
        )
        results = signal_results(folder, analysis, against)
        report = signal_report(results, command=command)
        report.write(target)
        print(f"\n{report.terminal()}\n\n{_where(folder, analysis, target)}")
    return 0


def _work(folder: RunFolder, analysis: Analysis, choices: list[ContextChoice], overrides: list[str]) -> None:
    """The flow, on the user's Prefect server or on one of its own."""
    from flows.server import start_prefect_server

    warm_up()
    start = start_prefect_server()
    from flows.analyze_flow import contexts_flow

    if start is not None:
        start.wait()
    contexts_flow(str(folder.path), analysis.round, [one.text for one in choices], overrides)


def signal_folder(folder: RunFolder, round: int) -> Path:
    """Where an analysis's page, table and plot lie, unless told otherwise."""
    return folder.path / "analysis" / f"signal-round={round:04d}"


def reference_of(choices: list[ContextChoice], wanted: str | None) -> str:
    """What differences are taken from: what was asked for, else `none` where it is there, else the first context."""
    names = [one.name for one in choices]
    if wanted is not None and wanted not in names:
        raise InputError(f"--reference {wanted}: is none of the contexts; choose one of {', '.join(names)}")
    return wanted or (REFERENCE if REFERENCE in names else names[0])


def signal_results(folder: RunFolder, analysis: Analysis, reference: str) -> SignalResults:
    """All that the signals of the contexts come to. Raises StorageError where a shard has gone."""
    rows = analysis.rows(folder, "signals")
    settings = analysis.plan.at(analysis.round).settings
    draws = {"num_samples": settings.evaluate.bootstrap_samples, "seed": settings.seed}
    return SignalResults(rows, summarize_signals(rows, reference=reference, **draws), reference)


def said_command(what: str, subject: Path, **given: Any) -> str:
    """The command as it was given, for the page: options without a value left out, lists with commas between."""
    words = ["mopd", *what.split(), str(subject)]
    for name, value in given.items():
        if name == "sets":
            words += [word for one in value for word in ("--set", one)]
        elif value not in (None, (), []):
            words += [f"--{name}", ",".join(value) if isinstance(value, list | tuple) else str(value)]
    return shlex.join(words)


def _where(folder: RunFolder, analysis: Analysis, out: Path) -> str:
    names = {context: part.name for context, part in analysis.parts.items()}
    own = [context for context, name in names.items() if not name]
    sides = ", ".join(f"{name} ({context})" if name != context else name for context, name in names.items() if name)
    lines = [f"results: {out}: signal.md, signal.csv, plot.png", "rows by prompt, in mopd sql:"]
    lines[1] += f" signals ({', '.join(own)})" if own else ""
    lines[1] += f"{';' if own else ''} side_signals, by name: {sides}" if sides else ""
    return "\n".join(lines)
