"""The plot of a signal analysis: success AUC and pairwise accuracy by variant, and the AUC by difficulty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flows.signal_report import DIFFICULTIES, SignalResults
from mopd.measures.signal_summary import SignalEstimate

COLORS = {"mixed": "C0", "sections": "C1", "hard": "#7a0177", "medium": "#dd3497", "easy": "#fa9fb5"}
LABELS = {
    "mixed": "all rollouts of prompts with both outcomes",
    "sections": "rollouts whose context had all sections",
    "hard": "hard: up to 1/3 of its replies are right",
    "medium": "medium: up to 2/3",
    "easy": "easy: above 2/3",
}
MARKERS = {"mixed": "o", "sections": "D", "hard": "v", "medium": "s", "easy": "^"}
PANELS = (
    ("success_auc", "success AUC", ("mixed", "sections")),
    ("pairwise_accuracy", "pairwise accuracy", ("mixed", "sections")),
    ("success_auc", "success AUC by difficulty", DIFFICULTIES),
)
SPREAD = 0.44
"""How far apart the populations of one variant stand, all together; variants are 1 apart."""


def write_signal_plot(results: SignalResults, path: Path) -> None:
    """Draw means over prompts with 95 % intervals, a line of the plot for each variant, and write them as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = results.names
    figure = Figure(figsize=(12.5, 2.5 + 0.42 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for panel, (metric, title, populations) in zip(panels, PANELS, strict=True):
        _draw_lines(panel, results)
        for index, population in enumerate(populations):
            found = [results.find(name, population, metric) for name in names]
            _draw_population(panel, population, found, SPREAD * (index / (len(populations) - 1) - 0.5))
        panel.set_title(title, fontsize=11)
        panel.grid(axis="x", alpha=0.3)
    _draw_shortness(panels[0], results)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    _add_legend(figure, panels)
    figure.suptitle("Means over prompts; bars: 95 % bootstrap intervals over prompts", fontsize=10)
    figure.savefig(path, dpi=130)


def _draw_lines(panel: Any, results: SignalResults) -> None:
    """Chance, and faint lines between the variants."""
    panel.axvline(0.5, color="black", linestyle="--", linewidth=1, label="chance")
    for place in range(1, len(results.names)):
        panel.axhline(place - 0.5, color="black", alpha=0.08, linewidth=0.8)


def _draw_shortness(panel: Any, results: SignalResults) -> None:
    """What a ranking by shortness would get: one line where all variants have the same rollouts."""
    lengths = [results.find(name, "mixed", "length_auc").value for name in results.names]
    there = [(place, value) for place, value in enumerate(lengths) if value is not None]
    panel.vlines(
        [value for _, value in there],
        [place - 0.5 for place, _ in there],
        [place + 0.5 for place, _ in there],
        color="C2",
        linestyle=":",
        linewidth=2,
        label="shortness alone, prompts with both outcomes",
    )


def _draw_population(panel: Any, population: str, found: list[SignalEstimate], shift: float) -> None:
    there = [(place + shift, one.value, one.interval) for place, one in enumerate(found) if one.value is not None]
    ends = [interval or (value, value) for _, value, interval in there]
    below = [max(value - low, 0.0) for (_, value, _), (low, _) in zip(there, ends, strict=True)]
    above = [max(high - value, 0.0) for (_, value, _), (_, high) in zip(there, ends, strict=True)]
    panel.errorbar(
        [value for _, value, _ in there],
        [place for place, _, _ in there],
        xerr=[below, above],
        linestyle="none",
        color=COLORS[population],
        marker=MARKERS[population],
        markersize=5,
        markerfacecolor="white" if population == "sections" else COLORS[population],
        capsize=2.5,
        linewidth=1.5,
        label=LABELS[population],
    )


def _add_legend(figure: Any, panels: Any) -> None:
    """One legend under the panels: what the first two show, and the third."""
    pairs = [panel.get_legend_handles_labels() for panel in panels]
    by_label = {label: handle for handles, labels in pairs for handle, label in zip(handles, labels, strict=True)}
    labels = sorted(by_label, key=[LABELS[bucket] for bucket in DIFFICULTIES].__contains__)
    handles = [by_label[label] for label in labels]
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9, frameon=False)
