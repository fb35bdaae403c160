"""The diversity of runs as tables: text, Markdown, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

from flows.diversity_results import HELD_OUT, SAMPLED, Point, Results, Summaries
from flows.text import Cell, markdown_table, text_table
from mopd.measures.diversity import METRICS, Summary

Row = dict[str, Cell]
NAMES = {
    "distinct_1": "distinct-1",
    "distinct_2": "distinct-2",
    "self_bleu_4": "self-BLEU-4",
    "unique_ratio": "unique",
    "pairwise_text_distance": "text distance",
    "ast_jaccard_distance": "AST distance",
}
"""Metrics as tables head them."""

NUMBER = {SAMPLED: "round", HELD_OUT: "policy"}
DIFFERENCES = ("minus_policy", "minus_run")


def terminal_text(results: Results) -> str:
    """All tables, and how to read them."""
    parts = [f"{title}\n{text_table(rows)}" for title, rows in tables(results).items()]
    return "\n\n".join([*parts, method_text(results)])


def markdown(results: Results, *, command: str, plot: str | None) -> str:
    """All tables as a page; `plot` is the picture's file beside it."""
    parts = ["# Diversity of replies", f"    {command}", method_text(results)]
    parts += [f"![each number by round]({plot})"] if plot else []
    for title, rows in tables(results).items():
        parts += [f"## {title[0].upper()}{title[1:]}", markdown_table(rows)]
    return "\n\n".join(parts) + "\n"


def method_text(results: Results) -> str:
    """How the numbers were made, in a few lines."""
    return (
        f"Means over prompts, with 95 % percentile bootstrap intervals over prompts ({results.num_draws} draws). "
        "`n`: prompts in the mean, where others have no number. Differences are paired by prompt. "
        "self-BLEU-4 is high where replies are alike; the others are high where they differ."
    )


def tables(results: Results) -> dict[str, list[Row]]:
    """The rows of each table that has any, by its title."""
    held_out, first = results.of(HELD_OUT), results.runs[0]
    found = {
        "what training sampled": _rows(results, results.of(SAMPLED), lambda point: point.means),
        "held-out": _rows(results, held_out, lambda point: point.means),
        "held-out, minus the run's first policy": _rows(results, held_out, lambda point: point.minus_policy, sign="+"),
        f"held-out, minus {first}": _rows(results, held_out, lambda point: point.minus_run, sign="+"),
    }
    return {title: rows for title, rows in found.items() if rows}


def csv_text(results: Results) -> str:
    """One row for each run, round or policy, replies and metric; empty where undefined."""
    rows = [_csv_row(point, metric) for point in results.points for metric in METRICS]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _rows(
    results: Results, points: list[Point], part: Callable[[Point], Summaries | None], *, sign: str = ""
) -> list[Row]:
    """One row a point that has this part; metrics that none of them has are left out."""
    found = [(point, summaries) for point in points if (summaries := part(point)) is not None]
    shown = [metric for metric in METRICS if any(summaries[metric].num_prompts for _, summaries in found)]
    return [
        {
            **({"run": point.run} if len(results.runs) > 1 else {}),
            NUMBER[point.source]: point.number,
            "replies": point.replies,
            "prompts": _num_asked(summaries),
            **{NAMES[metric]: _said(summaries[metric], sign) for metric in shown},
        }
        for point, summaries in found
    ]


def _num_asked(summaries: Summaries) -> int:
    """Prompts with and without a number: the same for every metric."""
    return next(one.num_prompts + one.num_null for one in summaries.values())


def _said(summary: Summary, sign: str) -> str | None:
    """0.417 [0.351, 0.480] n=29."""
    if summary.mean is None:
        return None
    interval = f" [{', '.join(f'{end:{sign}.3f}' for end in summary.interval)}]" if summary.interval else ""
    return f"{summary.mean:{sign}.3f}{interval}" + (f" n={summary.num_prompts}" if summary.num_null else "")


def _csv_row(point: Point, metric: str) -> dict[str, Any]:
    number = {name: point.number if name == NUMBER[point.source] else None for name in NUMBER.values()}
    row: dict[str, Any] = {"run": point.run, "source": point.source, **number}
    row |= {"replies": point.replies, "metric": metric, **_csv_summary("", point.means[metric])}
    for name in DIFFERENCES:
        summaries = getattr(point, name)
        row |= _csv_summary(f"{name}_", summaries[metric] if summaries else None)
    return row


def _csv_summary(prefix: str, summary: Summary | None) -> dict[str, Any]:
    low, high = (summary.interval if summary else None) or (None, None)
    values = {"mean": summary and summary.mean, "low": low, "high": high}
    values |= {"num_prompts": summary and summary.num_prompts, "num_null": summary and summary.num_null}
    return {f"{prefix}{name}": value for name, value in values.items()}
