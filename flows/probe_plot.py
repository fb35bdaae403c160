"""The plot of a probe: gap and success AUC by context."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from flows.probe_report import ProbeResults
from mopd.evaluate import Interval

Measured = tuple[float | None, Interval | None]


def write_probe_plot(results: ProbeResults, path: Path) -> None:
    """Draw both with 95 % intervals, one row a context in the order of the table, and write them as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    contexts = results.contexts
    figure = Figure(figsize=(10.0, 1.6 + 0.34 * len(contexts)), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, [(one.gain.gap, one.gain.interval) for one in contexts], "C0", "all rollouts", scale=100, shift=-0.12)
    full = [(one.full_gain.gap, one.full_gain.interval) for one in contexts]
    _draw(left, full, "C1", "context with all sections", scale=100, shift=0.12)
    _draw(right, [one.metric("success_auc") for one in contexts], "C0", "success AUC", scale=1, shift=0.0)
    left.axvline(0.0, color="0.5", linewidth=1)
    right.axvline(0.5, color="0.5", linewidth=1, linestyle="--")
    left.set_xlabel("self-teacher minus student, points")
    right.set_xlabel("success AUC of the teacher's scores (0.5: chance)")
    left.set_yticks(range(len(contexts)), [one.name + (" *" if one.name == results.best else "") for one in contexts])
    left.invert_yaxis()
    for panel in (left, right):
        panel.grid(axis="x", alpha=0.3)
    left.legend(loc="best", fontsize=8)
    figure.suptitle(
        f"{results.folder.run_id}, round {results.round}; bars: 95 % over prompts; *: recommended", fontsize=10
    )
    figure.savefig(path, dpi=130)


def _draw(panel: Any, measured: list[Measured], color: str, label: str, *, scale: int, shift: float) -> None:
    there = [(row + shift, value, interval) for row, (value, interval) in enumerate(measured) if value is not None]
    at, values = [row for row, _, _ in there], [scale * value for _, value, _ in there]
    ends = [[scale * end for end in interval] if interval else [math.nan] * 2 for _, _, interval in there]
    below = [value - low for value, (low, _) in zip(values, ends, strict=True)]
    above = [high - value for value, (_, high) in zip(values, ends, strict=True)]
    panel.errorbar(values, at, xerr=[below, above], color=color, fmt="o", markersize=4, capsize=3, label=label)
