"""Draws the figures of docs/results.md from the numbers beside this file, as the product draws its own.

python benchmarks/plot_results.py
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from flows.report.figure import Figure, Mark, Panel, Series
from mopd.measures.estimate import Estimate

RESULTS, DOCS = Path(__file__).parent / "results", Path(__file__).parents[1] / "docs"
ALL = "all"
"""In place of a seed: the mean over them."""
Row = dict[str, Any]


def main() -> None:
    runs = json.loads((RESULTS / "demo_seeds.json").read_text())["runs"]
    figures = {
        "demo_seeds": seeds(runs),
        "compare_demo": comparison(rows_of("compare_demo")),
        "signal_demo": signal(rows_of("signal_demo")),
    }
    for name, figure in figures.items():
        (DOCS / f"{name}.png").write_bytes(figure.png())


def rows_of(name: str) -> list[Row]:
    """A table's rows: numbers as numbers, what is empty as None."""
    with (RESULTS / f"{name}.csv").open() as file:
        return [{key: _value(text) for key, text in row.items()} for row in csv.DictReader(file)]


def _value(text: str) -> float | str | None:
    try:
        return float(text) if text else None
    except ValueError:
        return text


def seeds(runs: list[Row]) -> Figure:
    """Held-out mean@k before and after: a line a seed, an arm a panel."""
    titles = {"mopd": "distillation alone (λ = 0)", "grpo": "policy gradient alone (λ = 1)"}
    k = runs[0]["after"]["k"]

    def line(run: Row) -> Series:
        points = [(place, run[when]) for place, when in enumerate(("before", "after"))]
        estimates = [
            (place, Estimate.of(point["mean_at_k"], point["mean_interval"], point["num_prompts"]))
            for place, point in points
        ]
        return Series(f"seed {run['seed']}", estimates, run["seed"])

    def panel(arm: str) -> Panel:
        lines = [line(run) for run in sorted(runs, key=lambda run: run["seed"]) if run["arm"] == arm]
        shown = f"held-out mean@{k}, %"
        return Panel(lines, {0: "before", 1: "after"}, titles[arm], values_label=shown, limits=(-2, 102), scale=100)

    title = "bars: 95 % bootstrap intervals over prompts"
    return Figure("mean@k before and after", title, [[panel(arm) for arm in titles]], (8.6, 4.0), legend_columns=5)


def comparison(rows: list[Row]) -> Figure:
    """mean@k and pass@k by round, one colour an arm; each seed as a faint dot."""
    evaluated = [row for row in rows if row["rounds"] is not None]
    arms = list(dict.fromkeys(row["arm"] for row in evaluated))

    def series(arm: str, metric: str) -> Series:
        own = [row for row in evaluated if row["arm"] == arm]
        means = [(row["rounds"], estimate_of(row, f"{metric}_", metric)) for row in own if row["seed"] == ALL]
        dots = [(row["rounds"], row[metric]) for row in own if row["seed"] != ALL]
        return Series(arm.upper(), means, arms.index(arm), dots=dots)

    def panel(metric: str) -> Panel:
        lines = [series(arm, metric) for arm in arms]
        ticks = {version: str(version) for version in range(3)}
        shown = f"held-out {metric}@8, %"
        return Panel(lines, ticks, places_label="rounds of training", values_label=shown, limits=(-2, 102), scale=100)

    title = "3 seeds; bars: 95 % bootstrap intervals; dots: each seed"
    return Figure("mean@8 and pass@8 by round", title, [[panel("mean"), panel("pass")]], (9.6, 4.2))


def signal(rows: list[Row]) -> Figure:
    """Success AUC by context: of all prompts with both outcomes, and by difficulty."""
    names = list(dict.fromkeys(row["name"] for row in rows))
    numbers = {(row["name"], row["population"]): row for row in rows if row["metric"] == "success_auc"}
    chance = Mark(0.5, "chance", dash=(4, 3))

    def series(label: str, population: str, **style: Any) -> Series:
        found = [(place, estimate_of(numbers[name, population], "", "value")) for place, name in enumerate(names)]
        return Series(label, found, joined=False, **style)

    every = [series("all prompts with both outcomes", "mixed", color=0)]
    by_difficulty = [
        series("hard: up to 1/3 of its replies are right", "hard", color=7, shape="triangle-down"),
        series("medium: up to 2/3", "medium", color=4, shape="square"),
    ]
    places = dict(enumerate(names))
    return Figure(
        alt="success AUC by context",
        title="Means over prompts; bars: 95 % bootstrap intervals over prompts",
        panels=[
            [
                Panel(every, places, "success AUC", marks=[chance]),
                Panel(by_difficulty, places, "by difficulty", marks=[chance], spread=0.44),
            ]
        ],
        size=(9.6, 2.5 + 0.42 * len(names)),
        horizontal=True,
        legend_columns=2,
    )


def estimate_of(row: Row, ends: str, value: str) -> Estimate:
    """With an interval from `ENDSlow` to `ENDShigh`."""
    low, high = row[f"{ends}low"], row[f"{ends}high"]
    interval = None if low is None or high is None else (low, high)
    return Estimate.of(row[value], interval, int(row["num_prompts"]))


if __name__ == "__main__":
    main()
