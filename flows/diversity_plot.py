"""The plot of diversity: each number by round, one colour a run; successes alone are dashed."""

from __future__ import annotations

import io
import math
from typing import Any

from flows.diversity_results import HELD_OUT, SAMPLED, Point, Results
from flows.diversity_tables import NAMES
from mopd.measures.diversity import METRICS, REPLIES

SPREAD = 0.24
"""How far apart lines stand at one round, all together."""
LINES: dict[str, dict[str, Any]] = {
    "all": {"linestyle": "-", "marker": "o"},
    "successes": {"linestyle": "--", "marker": "o", "markerfacecolor": "white"},
}
XLABELS = {SAMPLED: "round", HELD_OUT: "rounds of training"}


def plot_png(results: Results) -> bytes:
    """A PNG: a panel for each metric, what training sampled above, held-out replies below, with 95 % intervals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    metrics = [metric for metric in METRICS if any(point.means[metric].num_prompts for point in results.points)]
    sources = [source for source in XLABELS if results.of(source)]
    size = (3.2 * max(len(metrics), 1), 0.7 + 2.9 * len(sources))
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(sources), max(len(metrics), 1), squeeze=False)
    for source, line in zip(sources, panels, strict=True):
        for metric, panel in zip(metrics, line, strict=False):
            _draw_panel(panel, results, source, metric)
        line[0].set_ylabel(source)
    handles, labels = panels[0][0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4), fontsize=9)
    figure.suptitle("means over prompts; bars: 95 % bootstrap intervals", fontsize=10)
    png = io.BytesIO()
    figure.savefig(png, dpi=130, format="png")
    return png.getvalue()


def _draw_panel(panel: Any, results: Results, source: str, metric: str) -> None:
    lines = [(run, replies) for run in results.runs for replies in REPLIES]
    for index, (run, replies) in enumerate(lines):
        points = [point for point in results.of(source) if (point.run, point.replies) == (run, replies)]
        label = f"{run}, {replies}" if len(results.runs) > 1 else replies
        style = {"color": f"C{index // len(REPLIES)}", "label": label, **LINES[replies]}
        _draw_line(panel, points, metric, SPREAD * (index / (len(lines) - 1) - 0.5), style)
    panel.set_title(NAMES[metric], fontsize=10)
    panel.set_xticks(sorted({point.number for point in results.of(source)}))
    panel.set_xlabel(XLABELS[source])
    panel.grid(axis="y", alpha=0.3)


def _draw_line(panel: Any, points: list[Point], metric: str, shift: float, style: dict[str, Any]) -> None:
    """A run without a number here has an empty line, so that the legend names it."""
    at, values, below, above = [], [], [], []
    for point in points:
        summary = point.means[metric]
        if summary.mean is not None:
            low, high = summary.interval or (math.nan, math.nan)
            at.append(point.number + shift)
            values.append(summary.mean)
            below.append(_length(summary.mean - low))
            above.append(_length(high - summary.mean))
    panel.errorbar(at, values, yerr=[below, above], markersize=4.5, capsize=2.5, linewidth=1.5, **style)


def _length(length: float) -> float:
    """Of one half of a bar: a percentile interval may leave its mean just outside, which has no bar there."""
    return 0.0 if length < 0 else length
