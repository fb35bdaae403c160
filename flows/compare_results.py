"""What came of a comparison: numbers of every run, and the table of its arms as text, Markdown, CSV."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.arms import Arm, Job, differences
from flows.artifacts import total
from flows.compare_runs import FINISHED, WAS_THERE, run_folder
from flows.plan import RunPlan
from flows.progress import clock
from flows.text import Cell, markdown_table, said, text_table
from mopd.measures.comparison import FEW_SEEDS, METHOD, Outcome, Point, compare_arms, outcome_of
from storage.runs import RUN_FILE, RunFolder
from storage.shards import read_rows

Row = dict[str, Cell]
STAGES = {"generate": "rollouts", "score": "scores", "train": "policies", "evaluate": "evaluations"}
"""Stages that take time, with the tables that they make."""


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
class Results:
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

    def of(self, arm: Arm) -> list[RunResult]:
        """An arm's runs, by seed."""
        return [run for run in self.runs if run.job.arm == arm]


def read_results(out: Path, jobs: list[Job], states: dict[str, str]) -> Results:
    """Everything from disk; `states` says why runs are as they are. A run that it lacks has not been come to yet."""
    done = {name: FINISHED if state == WAS_THERE else state for name, state in states.items()}
    runs = [_read_run(run_folder(out, job), job, done.get(job.name, "not finished yet")) for job in jobs]
    outcomes: dict[str, dict[int, dict[int, Outcome]]] = {}
    for run in runs:
        outcomes.setdefault(run.job.arm.name, {})[run.job.seed] = run.outcomes
    evaluate = jobs[0].settings.evaluate
    points = compare_arms(outcomes, num_samples=evaluate.bootstrap_samples, rng_seed=jobs[0].settings.seed)
    return Results(runs, points, evaluate.num_samples)


def _read_run(folder: Path, job: Job, state: str) -> RunResult:
    if not (folder / RUN_FILE).exists():
        return RunResult(job, state, {}, {})
    run = RunFolder.open(folder)
    plan = RunPlan.of(run)
    found = {
        version: [manifest for shard in part.evaluations if (manifest := shard.find(run)) is not None]
        for version, part in plan.shown_evaluations(run).items()
        if part.is_there(run)
    }
    rows = {
        version: [row for one in manifests for row in read_rows(run, one, ["prompt_id", "sample", "success"])]
        for version, manifests in found.items()
    }
    k = job.settings.evaluate.num_samples
    return RunResult(job, state, {version: outcome_of(those, k) for version, those in rows.items()}, _costs(run, plan))


def _costs(run: RunFolder, plan: RunPlan) -> dict[str, float]:
    """Updates, tokens and seconds of a run, from its manifests; those that it took over name another home."""
    found = [manifest for shard in plan.shards() if (manifest := shard.find(run)) is not None]

    def total_of(what: str, table: str) -> float:
        return total([manifest for manifest in found if manifest.table == table], what)

    seconds = {f"{stage} seconds": total_of("seconds", table) for stage, table in STAGES.items()}
    return {
        "updates": total_of("steps", "policies"),
        "tokens sampled": total_of("tokens", "rollouts"),
        "tokens trained on": total_of("tokens", "policies"),
        **seconds,
        "seconds": total(found, "seconds"),
        "own seconds": total([manifest for manifest in found if not manifest.home], "seconds"),
    }


def result_rows(results: Results) -> list[Row]:
    """The table of arms: mean@k and pass@k by round, and how far they are from the first arm's."""
    first, k, num_seeds = results.arms[0].name, results.k, len({run.job.seed for run in results.runs})
    nulls = any(point.num_null for point in results.points)
    return [
        {
            "arm": point.arm,
            "rounds": point.policy,
            "seeds": f"{point.mean.num_seeds}/{num_seeds}",
            f"mean@{k}, %": said(point.mean),
            f"minus {first}": said(point.mean_difference, sign=True),
            f"pass@{k}, %": said(point.passed),
            f"minus {first} ": said(point.passed_difference, sign=True),
            **({"nulls": point.num_null} if nulls else {}),
        }
        for point in results.points
    ]


def seed_rows(results: Results) -> list[Row]:
    """mean@k of each seed by round: what lies behind the means."""
    return [
        {
            "arm": run.job.arm.name,
            "seed": run.job.seed,
            **{
                f"after {version}" if version else "before": _percent(_mean(outcome.mean))
                for version, outcome in sorted(run.outcomes.items())
            },
            "state": run.state,
        }
        for run in results.runs
    ]


def cost_rows(results: Results) -> list[Row]:
    """What a run of each arm takes, on average over those that finished."""
    rows: list[Row] = []
    for arm in results.arms:
        done = [run.costs for run in results.of(arm) if run not in results.unfinished]
        mean = {name: sum(one[name] for one in done) / len(done) for name in (done[0] if done else ())}
        shown = {name: clock(value) if "seconds" in name else round(value) for name, value in mean.items()}
        rows.append({"arm": arm.name, "runs": len(done), **shown})
    return rows


def difference_rows(results: Results) -> list[Row]:
    """In which settings each arm differs from the first one."""
    first, *others = (results.of(arm)[0].job for arm in results.arms)
    return [
        {"arm": job.arm.name, "setting": key, first.arm.name: _value(there), "here": _value(here)}
        for job in others
        for key, (there, here) in differences(first.settings, job.settings).items()
    ]


def csv_text(results: Results) -> str:
    """One row for each arm, seed and round, and one over all seeds; shares in [0, 1], empty where undefined."""
    rows = [_csv_seed(run, version) for run in results.runs for version in sorted(run.outcomes)]
    rows += [_csv_point(point) for point in results.points]
    names = list(dict.fromkeys(name for row in [*rows, *map(_csv_state, results.runs)] for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    writer.writerows(_csv_state(run) for run in results.runs if not run.outcomes)
    return out.getvalue()


def markdown(results: Results, *, command: str, about: str) -> str:
    """The whole of the results as a page."""
    seeds = sorted({run.job.seed for run in results.runs})
    parts = [f"# {' against '.join(arm.name for arm in results.arms)}", f"    {command}", about]
    parts += [table_text(results), "![mean@k and pass@k by round](plot.png)", method_text(len(seeds))]
    parts += ["## By seed", f"mean@{results.k}, %.", markdown_table(seed_rows(results))]
    parts += ["## What a run took", COSTS, markdown_table(cost_rows(results))]
    parts += ["## What differs", "All other settings are the same.", markdown_table(difference_rows(results))]
    return "\n\n".join(parts) + "\n"


def table_text(results: Results) -> str:
    """The table of arms alone, in Markdown."""
    return markdown_table(result_rows(results))


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


def terminal_text(results: Results) -> str:
    """The table at the end of `mopd compare`, and what is missing from it."""
    seeds = len({run.job.seed for run in results.runs})
    parts = [text_table(result_rows(results)) if results.points else "nothing was evaluated yet", method_text(seeds)]
    parts += [f"{run.job.name}: {run.state}" for run in results.unfinished]
    return "\n\n".join(parts[:2]) + "".join(f"\n{line}" for line in ["", *parts[2:]] if parts[2:])


def _csv_seed(run: RunResult, version: int) -> dict[str, Any]:
    outcome = run.outcomes[version]
    row = {"arm": run.job.arm.name, "seed": run.job.seed, "rounds": version, "num_seeds": 1}
    row |= {"mean": _mean(outcome.mean), "pass": _mean(outcome.passed), "num_prompts": len(outcome.mean)}
    return row | {"num_null": outcome.num_null, **_csv_costs(run), "state": run.state}


def _csv_state(run: RunResult) -> dict[str, Any]:
    return {"arm": run.job.arm.name, "seed": run.job.seed, **_csv_costs(run), "state": run.state}


def _csv_costs(run: RunResult) -> dict[str, Any]:
    """Of the whole run, beside each of its rounds."""
    return {f"run_{name.replace(' ', '_')}": round(value, 2) for name, value in run.costs.items()}


def _csv_point(point: Point) -> dict[str, Any]:
    row: dict[str, Any] = {"arm": point.arm, "seed": "all", "rounds": point.policy, "num_seeds": point.mean.num_seeds}
    for name, found in (
        ("mean", point.mean),
        ("mean_difference", point.mean_difference),
        ("pass", point.passed),
        ("pass_difference", point.passed_difference),
    ):
        low, high = (found.interval if found else None) or (None, None)
        row |= {name: found.value if found else None, f"{name}_low": low, f"{name}_high": high}
    return row | {"num_prompts": point.mean.num_prompts, "num_null": point.num_null}


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f}"


def _mean(values: Any) -> float | None:
    return sum(values.values()) / len(values) if values else None


def _value(value: Any) -> str:
    return "absent" if value is None else json.dumps(value)
