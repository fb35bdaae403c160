"""What came of a signal analysis: which contexts make the teacher see what the verifier sees, as text, page, CSV."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.report.figure import Figure, Mark, Panel, Series
from flows.report.report import Part, Report
from flows.report.table import Column, Row, Table, with_difference
from mopd.measures.estimate import Estimate
from mopd.measures.signal_summary import SUMMARIZED, Signals
from mopd.measures.signals import Rows

AUC, GAIN, PAIRS, LENGTH = "success AUC", "gain AUC", "pairwise accuracy", "length AUC"
SHORT = {
    "pairwise_accuracy": "pairs",
    "spearman": "Spearman",
    "top1_hit_rate": "top-1",
    "gain_auc": GAIN,
    "length_auc": LENGTH,
}
"""Metrics of the terminal's table beside the success AUC, without intervals."""
OTHERS = {
    "spearman": "Spearman",
    "kendall_tau_b": "Kendall tau-b",
    "goodman_kruskal_gamma": "gamma",
    "point_biserial": "point-biserial",
    "top1_hit_rate": "top-1",
    "brier_sigmoid": "Brier (sigmoid)",
    "brier_minmax": "Brier (min-max)",
}
"""Metrics of the page's second table."""
DIFFICULTIES = ("hard", "medium", "easy")
"""Populations of mixed prompts, fewest successes first."""

METHOD = (
    "Success AUC: how often a right reply has a higher mean teacher log-probability than a wrong one of the same "
    "prompt; 0.5 is chance. Means over prompts with 95 % intervals: percentile bootstrap over prompts. Differences are "
    "paired by prompt."
)
HOW_TO_READ = f"""\
- {METHOD} No interval is widened for the number of variants: among many, some difference looks sure by chance.
- Gain AUC: the success AUC of teacher minus policy log-probability, which is what distillation pushes towards. Where
  the teacher only repeats what the policy holds likely, it is 0.5, however high the success AUC is.
- Length AUC: what shortness alone would get. A success AUC no higher than that may be nothing but length, above all
  where score and length go together (Spearman of score and length).
- Over all rollouts of a prompt, right and wrong replies may have been shown different things: the only right reply has
  no right peer, and all wrong ones have. Rollouts whose context had all sections are free of that. They are other
  rollouts for each variant, though, so that differences between them are paired by prompt, not by rollout.
- Where right replies read alike, as short answers do, a right peer is nearly the reply that is scored, and a high AUC
  may be no more than finding the text again. The control random_peer shows such text without saying what is right.
- The verifier's feedback on a reply tells the teacher that reply's outcome: the AUC of a context with feedback does not
  compare with the others.
- Pairwise accuracy: of two replies of unequal reward, how often the better one has the higher score; equal scores count
  as wrong. Top-1: whether the reply of the highest score has the prompt's highest reward. Tau-b corrects for ties,
  gamma (Goodman and Kruskal) leaves them out. Brier scores: lower is better; by the sigmoid, it depends on the scale of
  scores more than on their order; by min-max, the prompt's scores are put between 0 and 1 first.
- Hard: a share of successes up to 1/3; medium: up to 2/3; easy: above. What a prompt can't answer, such as the AUC of
  one outcome, is missing, never 0; it is left out of means, and `nulls` counts such prompts.
- Which metrics: the analysis of teacher signals in arXiv 2605.12652."""


@dataclass(frozen=True)
class SignalResults:
    """Signal rows of every variant, and what they come to."""

    rows_by_name: Mapping[str, Rows]
    """By variant, as `mopd.measures.signals.signal_rows` makes them."""
    signals: Signals
    """What `mopd.measures.signal_summary.summarize_signals` makes of these rows."""
    reference: str | None
    """The variant that differences are taken from."""

    @property
    def names(self) -> list[str]:
        """The variants in their order."""
        return list(self.rows_by_name)

    def find(self, name: str, population: str, metric: str) -> Estimate:
        """One mean."""
        return self.signals[name, population, metric].mean

    def rows_of(self, population: str) -> list[Row]:
        """One row a variant: each metric, and `METRIC_difference` from the reference."""
        rows: list[Row] = []
        for name in self.names:
            signals = {metric: self.signals[name, population, metric] for metric in SUMMARIZED}
            auc = signals["success_auc"].mean
            row: Row = {"variant": name, "prompts": auc.num, "nulls": auc.num_null}
            row |= {metric: signal.mean for metric, signal in signals.items()}
            rows.append(row | {f"{metric}_difference": signal.difference for metric, signal in signals.items()})
        return rows


def signal_report(results: SignalResults, *, command: str, about: str = "") -> Report:
    """The whole of the results. `about`: further lines on top."""
    missing = missing_table(results)
    reasons: list[Part] = ["## What is missing", MISSING, missing] if missing.rows else []
    return Report(
        title="Does the teacher see what the verifier sees?",
        parts=[
            f"    {command}",
            _head(results),
            about,
            main_table(results, "mixed", "Prompts with both outcomes"),
            _figure(results),
            other_table(results),
            main_table(results, "sections", "Rollouts whose context had all sections"),
            "## By difficulty",
            "Success AUC over prompts with both outcomes.",
            difficulty_table(results),
            "## Contexts and lengths",
            COVERAGE,
            coverage_table(results),
            *reasons,
            "## How to read this",
            HOW_TO_READ,
        ],
        brief=[signal_table(results), f"Prompts with both outcomes. {METHOD}"],
        numbers=_numbers(results),
        name="signal",
    )


COVERAGE = (
    "All prompts; means over prompts. Not scored: rollouts without a score (an empty reply) or without a verdict (the "
    "verifier crashed). Cut: contexts that the budget had no room for in full."
)
MISSING = "Prompts by why metrics are missing; a prompt may have several reasons."


def signal_table(results: SignalResults, population: str = "mixed") -> Table:
    """One row a variant: what a person wants to know first, on the 140 columns of a terminal."""
    columns = [Column("variant"), Column("prompts"), *_with_minus(results, "success_auc", AUC)]
    columns += [Column(metric, title, "z.3f", bare=True) for metric, title in SHORT.items()]
    columns += [Column("context_tokens", "context", ",.0f", bare=True), _share("cut_share", "cut")]
    return Table([*columns, Column("nulls", optional=True)], results.rows_of(population))


def main_table(results: SignalResults, population: str, title: str = "") -> Table:
    """The page's first table: the success AUC and what it is to be read against."""
    columns = [Column("variant"), Column("prompts"), *_with_minus(results, "success_auc", AUC)]
    columns += [*_with_minus(results, "pairwise_accuracy", PAIRS), *_with_minus(results, "gain_auc", GAIN)]
    columns += [Column("length_auc", LENGTH, "z.3f"), Column("nulls", optional=True)]
    return Table(columns, results.rows_of(population), title)


def other_table(results: SignalResults) -> Table:
    """The page's second table: the other metrics."""
    columns = [Column("variant"), *(Column(metric, title, "z.3f") for metric, title in OTHERS.items())]
    return Table(columns, results.rows_of("mixed"))


def difficulty_table(results: SignalResults) -> Table:
    """The success AUC by share of successes."""
    columns, rows = [Column("variant")], []
    for bucket in DIFFICULTIES:
        columns += [Column(f"{bucket} prompts"), Column(bucket, form="z.3f")]
    for name in results.names:
        row: Row = {"variant": name}
        for bucket in DIFFICULTIES:
            auc = results.find(name, bucket, "success_auc")
            row |= {f"{bucket} prompts": auc.num, bucket: auc}
        rows.append(row)
    return Table(columns, rows)


def coverage_table(results: SignalResults) -> Table:
    """What was there to measure, and how long contexts and replies are."""
    columns = [*map(Column, ("variant", "prompts", "rollouts", "not scored"))]
    columns += [_share("sections_share", "with all sections"), _share("cut_share", "cut")]
    columns += [Column("context_tokens", "context tokens", ",.0f", bare=True)]
    columns += [Column("response_tokens", "reply tokens", ",.0f", bare=True)]
    columns += [Column("length_spearman", "Spearman of score and length", "z.3f")]
    rows = []
    for row in results.rows_of("all"):
        groups = _groups(results, str(row["variant"]))
        num_rollouts, not_scored = _num_rollouts(groups)
        rows.append({**row, "prompts": len(groups), "rollouts": num_rollouts, "not scored": not_scored})
    return Table(columns, rows)


def missing_table(results: SignalResults) -> Table:
    """Why metrics are missing: prompts by reason, of variants that lack any."""
    rows: list[Row] = []
    for name in results.names:
        for population, title in (("all", "all"), ("sections", "with all sections")):
            reasons = [row["undefined"] for row in results.rows_by_name[name] if row["population"] == population]
            counts = Counter(reason for joined in reasons if joined for reason in joined.split("; "))
            if counts:
                rows.append({"variant": name, "rollouts": title, **counts})
    return Table.of(rows)


def _numbers(results: SignalResults) -> Table:
    """One line of the CSV for each variant, population and metric."""
    rows: list[Row] = []
    for (name, population, metric), signal in results.signals.items():
        mean = signal.mean
        row: Row = {"name": name, "population": population, "metric": metric, "value": mean.value}
        row |= {"low": mean.low, "high": mean.high, "num_prompts": mean.num, "num_null": mean.num_null}
        row |= {"reference": results.reference if name != results.reference else None}
        rows.append({**row, "difference": signal.difference, "num_paired": signal.difference.num})
    return Table.of(rows)


def _head(results: SignalResults) -> str:
    """Where the numbers are from, and how many prompts and rollouts there are."""
    rows = [row for name in results.names for row in _groups(results, name)]
    groups = list({(row["round"], row["prompt_id"]): row for row in rows}.values())
    num_rollouts, not_scored = _num_rollouts(groups)
    mixed = sum(0 < (row["success_share"] or 0) < 1 for row in groups)
    runs, rounds = (_listed(row[key] for row in rows) for key in ("run", "round"))
    teachers = _listed(f"{row['teacher']} (version {row['teacher_version']})" for row in rows)
    return (
        f"Run {runs}, round {rounds}, teacher {teachers}: {len(groups)} prompts, {mixed} of them with both "
        f"outcomes; {num_rollouts} rollouts, {not_scored} of them without a score or a verdict."
    )


def _listed(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))


def _groups(results: SignalResults, name: str) -> Rows:
    """A variant's rows of all rollouts, one a prompt."""
    return [row for row in results.rows_by_name[name] if row["population"] == "all"]


def _num_rollouts(groups: Rows) -> tuple[int, int]:
    """All rollouts, and those without a score or a verdict."""
    num_rollouts = sum(group["num_rollouts"] for group in groups)
    return num_rollouts, num_rollouts - sum(group["num_scored"] for group in groups)


def _with_minus(results: SignalResults, metric: str, title: str) -> list[Column]:
    return with_difference(Column(metric, title, "z.3f"), results.reference)


def _share(metric: str, title: str) -> Column:
    return Column(metric, title, ".1f", 100, " %", bare=True)


STYLES: dict[str, dict[str, Any]] = {
    "mixed": {"color": 0},
    "sections": {"color": 1, "shape": "diamond"},
    "hard": {"color": 7, "shape": "triangle-down"},
    "medium": {"color": 4, "shape": "square"},
    "easy": {"color": 2, "shape": "triangle-up"},
}
LABELS = {
    "mixed": "all rollouts of prompts with both outcomes",
    "sections": "rollouts whose context had all sections",
    "hard": "hard: up to 1/3 of its replies are right",
    "medium": "medium: up to 2/3",
    "easy": "easy: above 2/3",
}
CHANCE = Mark(0.5, "chance", dash=(4, 3))


def _figure(results: SignalResults) -> Figure:
    """Success AUC and pairwise accuracy by variant, and the AUC by difficulty."""
    populations = ("mixed", "sections")
    return Figure(
        alt="success AUC and pairwise accuracy by context",
        title="Means over prompts; bars: 95 % bootstrap intervals over prompts",
        panels=[
            [
                _panel(results, "success_auc", "success AUC", populations, _shortness(results)),
                _panel(results, "pairwise_accuracy", "pairwise accuracy", populations),
                _panel(results, "success_auc", "success AUC by difficulty", DIFFICULTIES),
            ]
        ],
        size=(12.5, 2.5 + 0.42 * len(results.names)),
        horizontal=True,
        legend_columns=2,
    )


def _panel(results: SignalResults, metric: str, title: str, populations: Sequence[str], *marks: Mark) -> Panel:
    series = [
        Series(
            LABELS[population],
            [(place, results.find(name, population, metric)) for place, name in enumerate(results.names)],
            **STYLES[population],
        )
        for population in populations
    ]
    return Panel(series, dict(enumerate(results.names)), title, marks=[CHANCE, *marks], form="z.3f", spread=0.44)


def _shortness(results: SignalResults) -> Mark:
    """What a ranking by shortness would get: one line where all variants have the same rollouts."""
    lengths = [results.find(name, "mixed", "length_auc").value for name in results.names]
    known = [(place, value) for place, value in enumerate(lengths) if value is not None]
    label = "shortness alone, prompts with both outcomes"
    return Mark(known, label, color=2, dash=(2, 2))
