"""Flows that look at one round of a run under several contexts: `mopd analyze signal` and what `mopd probe` shares."""

from __future__ import annotations

from pathlib import Path

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from flows.analysis import open_analysis
from flows.analyze_signal import DEFAULT_VARIANTS, read_choices, signal_results, write_signal_files
from flows.progress import Console
from flows.run import in_charge
from flows.session import Run
from flows.stages import answer, condition, measure, score
from mopd.context_choice import read_choice
from storage.catalog import write_catalog
from storage.runs import RunFolder


@flow(name="contexts", flow_run_name="contexts-r{round:04d}", persist_result=False)
def contexts_flow(run_dir: str, round: int, contexts: list[str], overrides: list[str], answers: bool = False) -> None:
    """A round's rollouts under several contexts: scored, measured, and (`answers`) answered again by the student."""
    folder = RunFolder.open(Path(run_dir))
    with in_charge(folder):
        analysis = open_analysis(folder, round, [read_choice(text) for text in contexts], overrides, answers=answers)
        analysis.write_sides(folder)
        with Run.open(folder, Console(), analysis.plan, analysis.side) as run:
            condition(run, round, probe=True)
            if answers:
                answer(run, round)
            score(run, round, probe=True)
            measure(run, round, probe=True)
        write_catalog(folder)


@flow(name="analyze-signal", flow_run_name="signal-r{round:04d}", persist_result=False)
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
    differences are taken from `reference`. Returns the folder with signal.md, signal.csv and plot.png.
    """
    choices = read_choices(variants, renderings, orders)
    folder = RunFolder.open(Path(run_dir))
    contexts_flow(run_dir, round, [one.text for one in choices], list(overrides))
    analysis = open_analysis(folder, round, choices, list(overrides))
    target = Path(out) if out else folder.path / "analysis" / f"signal-round={round:04d}"
    results = signal_results(folder, analysis, reference or choices[0].name)
    page = write_signal_files(results, target, command=f"deployment mopd/analyze-signal, run {folder.path}")
    create_markdown_artifact(key="mopd-signal", markdown=page, description=f"{folder.run_id}, round {round}")
    return str(target)
