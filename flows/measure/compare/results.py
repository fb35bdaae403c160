"""What came of a comparison: the numbers of every run, and the report on its arms."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.measure.compare.arms import Arm, Job
from flows.measure.compare.runs import FINISHED, WAS_THERE, run_folder
from flows.plan.run import RunPlan
from flows.report.artifacts import find_manifests, total
from flows.report.figure import Figure, Panel, Series
from flows.report.report import Report
from flows.report.table import Column, Row, Table, with_difference
from flows.runtime.console import clock
from mopd.measures.comparison import FEW_SEEDS, METHOD, Outcome, Point, compare_arms, outcome_of
from mopd.measures.estimate import Values
from mopd.settings.tree import differences
from storage.runs import RUN_FILE, RunFolder
from storage.shards import read_rows

STAGES = {"generate": "rollouts", "score": "scores", "train": "policies", "evaluate": "evaluations"}
"""Stages that take time, with the tables that they make."""
JUDGED = ["prompt_id", "sample", "success"]
METRICS = ("mean", "pass")
"""Names of `mopd.measures.comparison.METRICS`."""


@dataclass(frozen=True)
class RunResult:
    """One run as it is on disk."""

    job: Job
    state: str
    outcomes: dict[int, Outcome]
    """By policy, of those that were evaluated to the end."""
    costs: dict[str, float]
    """Updates, tokens, seconds; empty for a run that was not begun."""


@dataclass(frozen=True)
class ComparisonResults:
    """All runs of a comparison and what they say of its arms."""

    runs: list[RunResult]
    points: list[Point]
    k: int

    @property
    def arms(self) -> list[Arm]:
        """The arms in their order."""
        return list(dict.fromkeys(run.job.arm for run in self.runs))

    @property
    def unfinished(self) -> list[RunResult]:
        """Runs that did not come to their end."""
        return [run for run in self.runs if run.state != FINISHED]

    @property
    def num_seeds(self) -> int:
        """How many seeds there are, finished or not."""
        return len({run.job.seed for run in self.runs})


def read_results(out: Path, jobs: list[Job], states: dict[str, str]) -> ComparisonResults:
    """Everything from disk; `states` says why runs are as they are. A run that it lacks has not been come to yet."""
    done = {name: FINISHED if state == WAS_THERE else state for name, state in states.items()}
    runs = [_read_run(run_folder(out, job), job, done.get(job.name, "not finished yet")) for job in jobs]
    outcomes: dict[str, dict[int, dict[int, Outcome]]] = {}
    for run in runs:
        outcomes.setdefault(run.job.arm.name, {})[run.job.seed] = run.outcomes
    settings = jobs[0].settings
    points = compare_arms(outcomes, metrics=METRICS, **settings.draws)
    return ComparisonResults(runs, points, settings.evaluate.num_samples)


def _read_run(folder: Path, job: Job, state: str) -> RunResult:
    if not (folder / RUN_FILE).exists():
        return RunResult(job, state, {}, {})
    run = RunFolder.open(folder)
    plan = RunPlan.of(run)
    outcomes: dict[int, Outcome] = {}
    for version, part in plan.shown_evaluations(run).items():
        if part.is_there(run):
            manifests = find_manifests(run, part.evaluations)
            rows = [row for manifest in manifests for row in read_rows(run, manifest, JUDGED)]
            outcomes[version] = outcome_of(rows, job.settings.evaluate.num_samples)
    return RunResult(job, state, outcomes, _costs(run, plan))


def _costs(run: RunFolder, plan: RunPlan) -> dict[str, float]:
    """Updates, tokens and seconds of a run, from its manifests; those that it took over name another home."""
    manifests = find_manifests(run, plan.shards())

    def total_of(what: str, table: str) -> float:
        return total([manifest for manifest in manifests if manifest.table == table], what)

    seconds = {f"{stage} seconds": total_of("seconds", table) for stage, table in STAGES.items()}
    return {
        "updates": total_of("steps", "policies"),
        "tokens sampled": total_of("tokens", "rollouts"),
        "tokens trained on": total_of("tokens", "policies"),
        **seconds,
        "seconds": total(manifests, "seconds"),
        "own seconds": total([manifest for manifest in manifests if not manifest.home], "seconds"),
    }


def comparison_report(results: ComparisonResults, *, command: str, about: str) -> Report:
    """The arms beside each other, and what lies behind their means."""
    table, method = result_table(results), method_text(results.num_seeds)
    states = "\n".join(f"{run.job.name}: {run.state}" for run in results.unfinished)
    return Report(
        title=" against ".join(arm.name for arm in results.arms),
        parts=[
            f"    {command}",
            about,
            table if results.points else NOTHING,
            _figure(results),
            method,
            "## By seed",
            f"mean@{results.k}, %.",
            seed_table(results),
            "## What a run took",
            COSTS,
            _cost_table(results),
            "## What differs",
            "All other settings are the same.",
            _difference_table(results),
        ],
        brief=[table if results.points else NOTHING, method, states],
        numbers=_numbers(results),
    )


def result_table(results: ComparisonResults) -> Table:
    """The table of arms: mean@k and pass@k by round, and how far they are from the first arm's."""
    columns = [Column("arm"), Column("rounds"), Column("seeds")]
    for metric in METRICS:
        columns += with_difference(Column(metric, f"{metric}@{results.k}, %", "z.1f", 100), results.arms[0].name)
    rows = [{**_numbers_of(point), "seeds": f"{point.num_seeds}/{results.num_seeds}"} for point in results.points]
    return Table([*columns, Column("num_null", "nulls", optional=True)], rows)


def seed_table(results: ComparisonResults) -> Table:
    """mean@k of each seed by round: what lies behind the means."""
    versions = sorted({version for run in results.runs for version in run.outcomes})
    columns = [Column("arm"), Column("seed")]
    columns += [Column(str(version), f"after {version}" if version else "before", ".1f", 100) for version in versions]
    rows: list[Row] = []
    for run in results.runs:
        means = {str(version): _mean(outcome.metrics["mean"]) for version, outcome in run.outcomes.items()}
        rows.append({"arm": run.job.arm.name, "seed": run.job.seed, **means, "state": run.state})
    return Table([*columns, Column("state")], rows)


def _cost_table(results: ComparisonResults) -> Table:
    """What a run of each arm takes, on average over those that finished."""
    rows: list[Row] = []
    for arm in results.arms:
        done = [run.costs for run in results.runs if run.job.arm == arm and run.state == FINISHED]
        mean = {name: sum(costs[name] for costs in done) / len(done) for name in (done[0] if done else ())}
        shown = {name: clock(value) if "seconds" in name else round(value) for name, value in mean.items()}
        rows.append({"arm": arm.name, "runs": len(done), **shown})
    return Table.of(rows)


def _difference_table(results: ComparisonResults) -> Table:
    """In which settings each arm differs from the first one."""
    first, *rest = (next(run.job for run in results.runs if run.job.arm == arm) for arm in results.arms)
    return Table(
        [Column("arm"), Column("setting"), Column("first", first.arm.name), Column("here")],
        [
            {"arm": job.arm.name, "setting": key, "first": _value(before), "here": _value(after)}
            for job in rest
            for key, (before, after) in differences(first.settings, job.settings).items()
        ],
    )


NOTHING = "nothing was evaluated yet"
COSTS = (
    "Means over finished runs. What the arms of a seed share (rollouts of round 0, evaluation of the first policy) is "
    "made once and counted for each; `own` is what a run made itself."
)


def method_text(num_seeds: int) -> str:
    """How the numbers were made, in a line; with few seeds, what that means for the intervals."""
    if num_seeds == 1:
        return f"{METHOD} One seed: the intervals are over prompts alone and say nothing of other seeds."
    few = f" With {num_seeds} seeds alone, the intervals are too narrow for how much seeds differ."
    return METHOD + (few if num_seeds < FEW_SEEDS else "")


def _figure(results: ComparisonResults) -> Figure:
    """mean@k and pass@k by round, one colour an arm; each seed as a faint dot."""
    last = max((point.policy for point in results.points), default=0)

    def panel(metric: str) -> Panel:
        return Panel(
            [_series(results, arm.name, metric, index) for index, arm in enumerate(results.arms)],
            ticks={version: str(version) for version in range(last + 1)},
            places_label="rounds of training",
            values_label=f"held-out {metric}@{results.k}, %",
            limits=(-2, 102),
            scale=100,
            form="z.1f",
        )

    seeds = f"{results.num_seeds} seed{'s' if results.num_seeds > 1 else ''}"
    return Figure(
        alt="mean@k and pass@k by round",
        title=f"{seeds}; bars: 95 % bootstrap intervals; dots: each seed",
        panels=[[panel(metric) for metric in METRICS]],
        size=(9.6, 4.2),
    )


def _series(results: ComparisonResults, arm: str, metric: str, color: int) -> Series:
    estimates = [(point.policy, point.estimates[metric]) for point in results.points if point.arm == arm]
    runs = [run for run in results.runs if run.job.arm.name == arm]
    means = [(version, _mean(outcome.metrics[metric])) for run in runs for version, outcome in run.outcomes.items()]
    dots = [(version, mean) for version, mean in means if mean is not None]
    return Series(arm, estimates, color, dots=dots)


def _numbers(results: ComparisonResults) -> Table:
    """One row for each arm, seed and round, one over all seeds, one for a run without any; shares in [0, 1]."""
    rows = [_seed_numbers(run, version) for run in results.runs for version in sorted(run.outcomes)]
    rows += [_numbers_of(point) for point in results.points]
    return Table.of([*rows, *(_run_numbers(run) for run in results.runs if not run.outcomes)])


def _seed_numbers(run: RunResult, version: int) -> Row:
    outcome, numbers = run.outcomes[version], _run_numbers(run)
    row: Row = {"arm": run.job.arm.name, "seed": run.job.seed, "rounds": version, "num_seeds": 1}
    row |= {metric: _mean(outcome.metrics[metric]) for metric in METRICS}
    return {**row, "num_prompts": len(outcome.metrics["mean"]), "num_null": outcome.num_null, **numbers}


def _run_numbers(run: RunResult) -> Row:
    """Of the whole run, beside each of its rounds."""
    costs = {f"run_{name.replace(' ', '_')}": round(value, 2) for name, value in run.costs.items()}
    return {"arm": run.job.arm.name, "seed": run.job.seed, **costs, "state": run.state}


def _numbers_of(point: Point) -> Row:
    row: Row = {"arm": point.arm, "seed": "all", "rounds": point.policy, "num_seeds": point.num_seeds}
    return {**row, **point.estimates, "num_prompts": point.estimates["mean"].num, "num_null": point.num_null}


def _mean(values: Values) -> float | None:
    return sum(values.values()) / len(values) if values else None


def _value(value: Any) -> str:
    return "absent" if value is None else json.dumps(value)
