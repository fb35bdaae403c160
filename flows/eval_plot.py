"""The plot of an evaluation: each metric of each model, and how far they are from the first one's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flows.compare_plot import with_bars
from flows.eval_results import METRICS, EvalResults, ModelResult
from mopd.measures.comparison import Estimate

SPREAD = 0.4
"""How far apart the models stand at one metric, all together."""


def write_plot(results: EvalResults, path: Path) -> None:
    """Draw metrics and paired differences with 95 % intervals and write them as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    several = len(results.models) > 1
    figure = Figure(figsize=(9.6 if several else 4.8, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2 if several else 1, squeeze=False)[0]
    _draw(panels[0], results, "%", ModelResult.estimate)
    panels[0].set_ylim(-2, 102)
    panels[0].legend(loc="best", fontsize=9) if results.models else None
    if several:
        label = f"minus {results.models[0].model.name}, points"
        _draw(panels[1], results, label, lambda one, metric: one.differences.get(metric))
        panels[1].axhline(0.0, color="C0", linewidth=1.2)
    figure.suptitle(f"{results.plan.num_tasks} prompts; bars: 95 % bootstrap intervals", fontsize=10)
    figure.savefig(path, dpi=130)


def _draw(
    panel: Any, results: EvalResults, label: str, value_of: Callable[[ModelResult, str], Estimate | None]
) -> None:
    for index, one in enumerate(results.models):
        shift = SPREAD * (index / max(len(results.models) - 1, 1) - 0.5)
        found = [(place, value_of(one, metric)) for place, metric in enumerate(results.metrics)]
        _draw_model(panel, one.model.name, f"C{index}", shift, found)
    panel.set_xticks(range(len(results.metrics)), [f"{METRICS[metric]}@{results.k}" for metric in results.metrics])
    panel.set_xlim(-0.5, len(results.metrics) - 0.5)
    panel.set_ylabel(label)
    panel.grid(axis="y", alpha=0.3)


def _draw_model(panel: Any, name: str, color: str, shift: float, found: Sequence[tuple[int, Estimate | None]]) -> None:
    there = [(place + shift, one) for place, one in found if one is not None and one.value is not None]
    values, bars = with_bars([one for _, one in there])
    at = [place for place, _ in there]
    panel.errorbar(at, values, yerr=bars, color=color, marker="o", markersize=5, capsize=3, linestyle="", label=name)
