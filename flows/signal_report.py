"""What came of a signal analysis: which contexts make the teacher see what the verifier sees, as text, page, CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from flows.text import Cell, markdown_table, text_table
from mopd.evaluate import Interval
from mopd.measures.signal_summary import SignalEstimate
from mopd.measures.signals import Rows

Row = dict[str, Cell]

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
    estimates: Sequence[SignalEstimate]
    """What `mopd.measures.signal_summary.summarize_signals` makes of these rows."""
    reference: str | None
    """The variant that differences are taken from."""

    @property
    def names(self) -> list[str]:
        """The variants in their order."""
        return list(self.rows_by_name)

    def find(self, name: str, population: str, metric: str) -> SignalEstimate:
        """One estimate."""
        return self._by_key[name, population, metric]

    @cached_property
    def _by_key(self) -> dict[tuple[str, str, str], SignalEstimate]:
        return {(one.name, one.population, one.metric): one for one in self.estimates}


def terminal_text(results: SignalResults) -> str:
    """The table at the end of the command, and how its numbers were made."""
    return f"{text_table(signal_table(results))}\n\nPrompts with both outcomes. {METHOD}"


def signal_table(results: SignalResults, population: str = "mixed") -> list[Row]:
    """One row a variant: what a person wants to know first, on the 140 columns of a terminal."""
    rows: list[Row] = []
    for name in results.names:
        auc = results.find(name, population, "success_auc")
        row: Row = {"variant": name, "prompts": auc.num_prompts, AUC: _said(auc), **_minus(results, auc)}
        for metric, title in SHORT.items():
            row[title] = _three_digits(results.find(name, population, metric).value)
        row["context"] = _tokens(results.find(name, population, "context_tokens").value)
        row["cut"] = _percent(results.find(name, population, "cut_share").value)
        rows.append({**row, **_nulls(results, population, auc)})
    return rows


def signal_markdown(results: SignalResults, *, command: str, about: str = "") -> str:
    """The whole of the results as a page, which shows the plot `plot.png` beside it. `about`: further lines on top."""
    parts = ["# Does the teacher see what the verifier sees?", f"    {command}", _head(results), about]
    parts += ["## Prompts with both outcomes", markdown_table(main_rows(results, "mixed"))]
    parts += ["![success AUC and pairwise accuracy by context](plot.png)", markdown_table(other_rows(results, "mixed"))]
    parts += ["## Rollouts whose context had all sections", markdown_table(main_rows(results, "sections"))]
    parts += [
        "## By difficulty",
        "Success AUC over prompts with both outcomes.",
        markdown_table(difficulty_rows(results)),
    ]
    parts += ["## Contexts and lengths", COVERAGE, markdown_table(coverage_rows(results))]
    missing = missing_rows(results)
    parts += ["## What is missing", MISSING, markdown_table(missing)] if missing else []
    parts += ["## How to read this", HOW_TO_READ]
    return "\n\n".join(part for part in parts if part) + "\n"


COVERAGE = (
    "All prompts; means over prompts. Not scored: rollouts without a score (an empty reply) or without a verdict (the "
    "verifier crashed). Cut: contexts that the budget had no room for in full."
)
MISSING = "Prompts by why metrics are missing; a prompt may have several reasons."


def main_rows(results: SignalResults, population: str) -> list[Row]:
    """The page's first table: the success AUC and what it is to be read against."""
    rows: list[Row] = []
    for name in results.names:
        auc, gain, pairs, length = (
            results.find(name, population, metric)
            for metric in ("success_auc", "gain_auc", "pairwise_accuracy", "length_auc")
        )
        row: Row = {"variant": name, "prompts": auc.num_prompts, AUC: _said(auc), **_minus(results, auc)}
        row |= {PAIRS: _said(pairs), **_minus(results, pairs, " "), GAIN: _said(gain), **_minus(results, gain, "  ")}
        rows.append({**row, LENGTH: _said(length), **_nulls(results, population, auc)})
    return rows


def other_rows(results: SignalResults, population: str) -> list[Row]:
    """The page's second table: the other metrics."""
    return [
        {
            "variant": name,
            **{title: _said(results.find(name, population, metric)) for metric, title in OTHERS.items()},
        }
        for name in results.names
    ]


def difficulty_rows(results: SignalResults) -> list[Row]:
    """The success AUC by share of successes."""
    rows: list[Row] = []
    for name in results.names:
        row: Row = {"variant": name}
        for bucket in DIFFICULTIES:
            auc = results.find(name, bucket, "success_auc")
            row |= {f"{bucket} prompts": auc.num_prompts, bucket: _said(auc)}
        rows.append(row)
    return rows


def coverage_rows(results: SignalResults) -> list[Row]:
    """What was there to measure, and how long contexts and replies are."""
    rows: list[Row] = []
    for name in results.names:
        whole = _whole(results, name)

        def mean(metric: str, name: str = name) -> float | None:
            return results.find(name, "all", metric).value

        num_rollouts = sum(row["num_rollouts"] for row in whole)
        rows.append(
            {
                "variant": name,
                "prompts": len(whole),
                "rollouts": num_rollouts,
                "not scored": num_rollouts - sum(row["num_scored"] for row in whole),
                "with all sections": _percent(mean("sections_share")),
                "cut": _percent(mean("cut_share")),
                "context tokens": _tokens(mean("context_tokens")),
                "reply tokens": _tokens(mean("response_tokens")),
                "Spearman of score and length": _said(results.find(name, "all", "length_spearman")),
            }
        )
    return rows


def missing_rows(results: SignalResults) -> list[Row]:
    """Why metrics are missing: prompts by reason, of variants that lack any."""
    rows: list[Row] = []
    for name in results.names:
        for population, title in (("all", "all"), ("sections", "with all sections")):
            reasons = [row["undefined"] for row in results.rows_by_name[name] if row["population"] == population]
            counts = Counter(reason for joined in reasons if joined for reason in joined.split("; "))
            if counts:
                rows.append({"variant": name, "rollouts": title, **counts})
    return rows


def signal_csv(results: SignalResults) -> str:
    """One line for each variant, population and metric, as they are reckoned; empty where undefined."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*("name", "population", "metric", "value", "low", "high", "num_prompts", "num_null"), *DIFFERENCE])
    for one in results.estimates:
        numbers = [one.value, *(one.interval or (None, None)), one.num_prompts, one.num_null]
        reference = results.reference if one.name != results.reference else None
        against = [reference, one.difference, *(one.difference_interval or (None, None)), one.num_paired]
        writer.writerow([one.name, one.population, one.metric, *numbers, *against])
    return out.getvalue()


DIFFERENCE = ("reference", "difference", "difference_low", "difference_high", "num_paired")


def _head(results: SignalResults) -> str:
    """Where the numbers are from, and how many prompts and rollouts there are."""
    rows = [row for name in results.names for row in _whole(results, name)]
    groups = list({(row["round"], row["prompt_id"]): row for row in rows}.values())
    num_rollouts = sum(row["num_rollouts"] for row in groups)
    not_scored = num_rollouts - sum(row["num_scored"] for row in groups)
    mixed = sum(0 < (row["success_share"] or 0) < 1 for row in groups)
    runs, rounds = (_listed(row[key] for row in rows) for key in ("run", "round"))
    teachers = _listed(f"{row['teacher']} (version {row['teacher_version']})" for row in rows)
    return (
        f"Run {runs}, round {rounds}, teacher {teachers}: {len(groups)} prompts, {mixed} of them with both "
        f"outcomes; {num_rollouts} rollouts, {not_scored} of them without a score or a verdict."
    )


def _listed(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))


def _whole(results: SignalResults, name: str) -> Rows:
    """A variant's rows of all rollouts, one a prompt."""
    return [row for row in results.rows_by_name[name] if row["population"] == "all"]


def _minus(results: SignalResults, found: SignalEstimate, suffix: str = "") -> Row:
    """A column with the difference from the reference; blanks after its name tell several of them apart."""
    if results.reference is None:
        return {}
    said = _interval_text(found.difference, found.difference_interval, "+z.3f")
    return {f"minus {results.reference}{suffix}": said}


def _nulls(results: SignalResults, population: str, auc: SignalEstimate) -> Row:
    """A column with the prompts that have no success AUC, where any variant has such."""
    any_null = any(results.find(name, population, auc.metric).num_null for name in results.names)
    return {"nulls": auc.num_null} if any_null else {}


def _said(found: SignalEstimate) -> str | None:
    """0.773 [0.712, 0.830]."""
    return _interval_text(found.value, found.interval, "z.3f")


def _interval_text(value: float | None, interval: Interval | None, form: str) -> str | None:
    if value is None:
        return None
    return f"{value:{form}}" + (f" [{', '.join(f'{end:{form}}' for end in interval)}]" if interval else "")


def _three_digits(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _tokens(value: float | None) -> str | None:
    return None if value is None else f"{value:,.0f}"


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f} %"
