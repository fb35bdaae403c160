"""The report on the diversity of runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flows.measure.diversity.results import HELD_OUT, SAMPLED, DiversityPoint, DiversityResults, Estimates
from flows.report.figure import Figure, Panel, Series
from flows.report.report import Report
from flows.report.table import Column, Row, Table
from mopd.measures.diversity import METRICS, REPLIES

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
PLACES = {SAMPLED: "round", HELD_OUT: "rounds of training"}
STYLES: dict[str, dict[str, Any]] = {"all": {}, "successes": {"dashed": True, "shape": "diamond"}}


def diversity_report(results: DiversityResults, *, command: str) -> Report:
    """How varied replies are, by round and policy."""
    shown, method = tables(results), method_text(results)
    return Report(
        title="Diversity of replies",
        parts=[f"    {command}", method, _figure(results), *shown],
        brief=[*shown, method],
        numbers=Table.of([_numbers(point, metric) for point in results.points for metric in METRICS]),
        name="diversity",
    )


def method_text(results: DiversityResults) -> str:
    """How the numbers were made, in a few lines."""
    return (
        f"Means over prompts, with 95 % percentile bootstrap intervals over prompts ({results.num_draws} draws). "
        "`n`: prompts in the mean, where others have no number. Differences are paired by prompt. "
        "self-BLEU-4 is high where replies are alike; the others are high where they differ."
    )


def tables(results: DiversityResults) -> list[Table]:
    """Each table that has any rows."""
    first = results.runs[0]
    possible = [
        _table(results, SAMPLED, "what training sampled", lambda point: point.means),
        _table(results, HELD_OUT, "held-out", lambda point: point.means),
        _table(results, HELD_OUT, "held-out, minus the run's first policy", lambda point: point.minus_policy, sign="+"),
        _table(results, HELD_OUT, f"held-out, minus {first}", lambda point: point.minus_run, sign="+"),
    ]
    return [table for table in possible if table.rows]


def _table(
    results: DiversityResults,
    source: str,
    title: str,
    part: Callable[[DiversityPoint], Estimates | None],
    *,
    sign: str = "",
) -> Table:
    """One row a point that has this part; metrics that none of them has are left out."""
    columns = [Column("run")] if len(results.runs) > 1 else []
    columns += [Column("number", NUMBER[source]), Column("replies"), Column("prompts")]
    columns += [Column(metric, NAMES[metric], f"{sign}z.3f", optional=True, counted=True) for metric in METRICS]
    rows: list[Row] = []
    for point in results.of(source):
        estimates = part(point)
        if estimates is not None:
            rows.append({**vars(point), "prompts": _num_asked(estimates), **estimates})
    return Table(columns, rows, title)


def _num_asked(estimates: Estimates) -> int:
    """Prompts with and without a number: the same for every metric."""
    return next(estimate.num + estimate.num_null for estimate in estimates.values())


def _figure(results: DiversityResults) -> Figure:
    """A panel for each metric, what training sampled above, held-out replies below; successes alone are dashed."""
    metrics = [metric for metric in METRICS if any(point.means[metric].num for point in results.points)] or METRICS[:1]
    sources = [source for source in NUMBER if results.of(source)]
    return Figure(
        alt="each number by round",
        title="means over prompts; bars: 95 % bootstrap intervals",
        panels=[[_panel(results, source, metric, metrics[0]) for metric in metrics] for source in sources],
        size=(3.2 * len(metrics), 0.7 + 2.9 * len(sources)),
        name="diversity.png",
    )


def _panel(results: DiversityResults, source: str, metric: str, first: str) -> Panel:
    points = results.of(source)
    series = [
        Series(
            f"{run}, {replies}" if len(results.runs) > 1 else replies,
            [(point.number, point.means[metric]) for point in points if (point.run, point.replies) == (run, replies)],
            index,
            **STYLES[replies],
        )
        for index, run in enumerate(results.runs)
        for replies in REPLIES
    ]
    return Panel(
        series,
        ticks={number: str(number) for number in sorted({point.number for point in points})},
        title=NAMES[metric],
        places_label=PLACES[source],
        values_label=source if metric == first else "",
        form="z.3f",
    )


def _numbers(point: DiversityPoint, metric: str) -> Row:
    """One row of the CSV, for each run, round or policy, replies and metric."""
    number = {name: point.number if name == NUMBER[point.source] else None for name in NUMBER.values()}
    row: Row = {"run": point.run, "source": point.source, **number, "replies": point.replies, "metric": metric}
    parts = {"": point.means, "minus_policy_": point.minus_policy, "minus_run_": point.minus_run}
    for prefix, estimates in parts.items():
        mean = estimates[metric] if estimates else None
        values = (mean.value, mean.low, mean.high, mean.num, mean.num_null) if mean else (None,) * 5
        names = ("mean", "low", "high", "num_prompts", "num_null")
        row |= {f"{prefix}{name}": value for name, value in zip(names, values, strict=True)}
    return row
