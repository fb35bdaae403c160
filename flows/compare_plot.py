"""The plot of a comparison: mean@k and pass@k by round, one colour an arm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flows.compare_results import Results
from mopd.measures.comparison import Estimate

SPREAD, BESIDE = 0.24, 0.03
"""How far apart the arms stand at one round, all together, and how far a seed's dot beside its arm's interval."""


def write_plot(results: Results, path: Path) -> None:
    """Draw means with 95 % intervals, and each seed as a faint dot, and write them as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2, sharey=True)
    for panel, metric, name in zip(panels, ("mean", "passed"), ("mean", "pass"), strict=True):
        for index, arm in enumerate(results.arms):
            shift = SPREAD * (index / max(len(results.arms) - 1, 1) - 0.5)
            _draw_arm(panel, results, arm.name, metric, f"C{index}", shift)
        last = max((point.policy for point in results.points), default=0)
        panel.set_xticks(range(last + 1))
        panel.set_xlabel("rounds of training")
        panel.set_ylabel(f"held-out {name}@{results.k}, %")
        panel.set_ylim(-2, 102)
        panel.grid(axis="y", alpha=0.3)
    panels[0].legend(loc="best", fontsize=9)
    num_seeds = len({run.job.seed for run in results.runs})
    seeds = f"{num_seeds} seed{'s' if num_seeds > 1 else ''}"
    figure.suptitle(f"{seeds}; bars: 95 % bootstrap intervals; dots: each seed", fontsize=10)
    figure.savefig(path, dpi=130)


def _draw_arm(panel: Any, results: Results, arm: str, metric: str, color: str, shift: float) -> None:
    points = [point for point in results.points if point.arm == arm and getattr(point, metric).value is not None]
    at = [point.policy + shift for point in points]
    values, bars = with_bars([getattr(point, metric) for point in points])
    panel.errorbar(at, values, yerr=bars, color=color, marker="o", markersize=5, capsize=3, linewidth=1.8, label=arm)
    for run in results.runs:
        if run.job.arm.name == arm:
            seen = [(version, getattr(outcome, metric)) for version, outcome in run.outcomes.items()]
            dots = [(version + shift + BESIDE, 100 * sum(of.values()) / len(of)) for version, of in seen if of]
            panel.scatter(*zip(*dots, strict=True) if dots else ([], []), color=color, s=14, alpha=0.5, linewidths=0)


def with_bars(found: Sequence[Estimate]) -> tuple[list[float], list[list[float]]]:
    """Defined estimates as percents, and how far their intervals reach below and above them; no bar without one."""
    values = [100 * (one.value or 0.0) for one in found]
    ends = [[100 * end for end in one.interval] if one.interval else [math.nan] * 2 for one in found]
    below = [value - low for value, (low, _) in zip(values, ends, strict=True)]
    above = [high - value for value, (_, high) in zip(values, ends, strict=True)]
    return values, [below, above]
