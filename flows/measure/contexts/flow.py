"""Flows that look at one round of a run under several contexts: `mopd analyze signal` and `mopd probe`."""

from __future__ import annotations

from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from flows.execute.session import Run
from flows.execute.stages import draw, generate
from flows.folder.open import open_run
from flows.measure.contexts.analysis import open_analysis
from flows.measure.contexts.probe import probe_choices, read_probe
from flows.measure.contexts.probe_report import probe_report
from flows.measure.contexts.request import ContextsRequest
from flows.measure.contexts.signal import DEFAULT_VARIANTS, reference_of, signal_results
from flows.measure.contexts.signal_report import signal_report
from flows.report.sql.knowledge import leave_catalog
from flows.run import in_charge, try_contexts
from flows.runtime.console import Console
from mopd.settings import Settings
from mopd.settings.context_choice import read_choice
from storage.runs import RunFolder


@flow(name="contexts", flow_run_name="contexts-r{round:04d}", persist_result=False)
def contexts_flow(run_dir: str, round: int, contexts: list[str], overrides: list[str], answers: bool = False) -> None:
    """A round's rollouts under several contexts: scored, measured, and (`answers`) answered again by the student."""
    folder = RunFolder.open(run_dir)
    with in_charge(folder):
        analysis = open_analysis(folder, round, [read_choice(text) for text in contexts], overrides, answers=answers)
        with Run.open(folder, Console(), tried=list(analysis.parts.values()), overrides=overrides) as run:
            try_contexts(run, round, answers)
        leave_catalog(folder)


@flow(name="mopd-signal", flow_run_name="signal-r{round:04d}", persist_result=False)
def analyze_signal_flow(
    run_dir: str,
    round: int = 0,
    variants: tuple[str, ...] = DEFAULT_VARIANTS,
    renderings: tuple[str, ...] = (),
    orders: tuple[str, ...] = (),
    reference: str | None = None,
    overrides: tuple[str, ...] = (),
    out: str | None = None,
) -> str:
    """Does the teacher see what the verifier sees? The stored rollouts of a round, scored under several contexts.

    `variants`, each under all `renderings` and `orders` that make a difference to it (none: as the run has them);
    differences are taken from `reference`. Returns the folder with signal.md, signal.csv, signal.json and
    plot.png.
    """
    request = ContextsRequest(round, variants, renderings, orders, overrides, Path(out) if out else None)
    choices = request.choices()
    against = reference_of(choices, reference)
    folder = RunFolder.open(run_dir)
    contexts_flow(run_dir, round, [choice.text for choice in choices], list(overrides))
    analysis = open_analysis(folder, round, choices, list(overrides))
    results = signal_results(folder, analysis, against)
    report = signal_report(results, command=f"deployment mopd-signal/analyze-signal, run {folder.address}")
    target = request.folder(folder, "signal")
    report.write(target)
    report.publish("mopd-signal", f"{folder.run_id}, round {round}")
    return str(target)


@flow(name="mopd-probe", flow_run_name="probe-r{round:04d}", persist_result=False)
def probe_flow(
    settings: Settings,
    run_dir: str,
    round: int = 0,
    variants: tuple[str, ...] = (),
    renderings: tuple[str, ...] = (),
    orders: tuple[str, ...] = (),
    out: str | None = None,
) -> str:
    """Which context does the student gain most from? One round of rollouts, answered again under each context.

    `run_dir` is a run folder like any other: `mopd run` goes on with it. Returns the folder with probe.md, probe.csv,
    probe.json and plot.png.
    """
    request = ContextsRequest(round, variants, renderings, orders, out=Path(out) if out else None)
    choices = probe_choices(settings, request)
    folder = open_run(settings, run_dir, config=f"flow run {flow_run.name}")
    with in_charge(folder), Run.open(folder, Console()) as run:
        if run.missing(run.round(round).verdicts):
            draw(run, round)
            generate(run, round)
        leave_catalog(folder)
    contexts_flow(folder.address, round, [choice.text for choice in choices], [], answers=True)
    target = request.folder(folder, "probe")
    report = probe_report(read_probe(folder, round, choices), command=f"mopd-probe/probe, run {folder.address}")
    report.write(target)
    report.publish("mopd-probe", f"{folder.run_id}, round {round}")
    return str(target)
