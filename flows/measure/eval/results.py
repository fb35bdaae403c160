"""What came of an evaluation: each model's numbers, and how far they are from the first one's, as text and files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.measure.eval.plan import EvalPlan, Model
from flows.report.artifacts import find_manifests, total
from flows.report.figure import Figure, Mark, Panel, Series
from flows.report.report import Report, machine
from flows.report.status.state import judged_rows
from flows.report.table import Column, Row, Table, estimate_in, with_difference
from flows.runtime.console import clock
from mopd.measures.comparison import METRICS, Outcome, outcome_of, paired_difference
from mopd.measures.estimate import UNDEFINED, estimate_mean
from mopd.settings import Settings
from mopd.settings.sampling import describe_sampling
from storage.runs import RunFolder
from storage.shards import Manifest, read_rows

NOTHING = "nothing is evaluated to the end yet"
METHOD = (
    "Means over prompts, with 95 % percentile bootstrap intervals over prompts. Differences are in points and paired: "
    "all models answer the same prompts, and a sample of one has the seed that the same sample of another has. pass@k: "
    "unbiased, at least one of k replies is right."
)
MAJORITY = (
    " maj@k: the most frequent answer of k replies is right; answers are compared letter for letter, and equally "
    "frequent ones share the vote."
)


@dataclass(frozen=True)
class EvalResults:
    """All that an evaluation's folder holds by now."""

    folder: RunFolder
    plan: EvalPlan
    rows: list[Row]
    """One for each model that is evaluated to the end: its estimates, and how far they are from the first one's."""
    unfinished: list[str]
    """A line for each of the others."""

    @property
    def k(self) -> int:
        """Samples a prompt."""
        return self.plan.settings.evaluate.num_samples

    @property
    def reference(self) -> str | None:
        """The first model, from which others differ; None where it is alone."""
        return str(self.rows[0]["model"]) if len(self.rows) > 1 else None

    @property
    def metrics(self) -> list[str]:
        """Those that are defined for a model at least; mean@k and pass@k in any case."""
        voted = any(estimate_in(row, "maj").num for row in self.rows)
        return [metric for metric in METRICS if metric != "maj" or voted]


def read_results(path: Path) -> EvalResults:
    """Everything from disk."""
    folder = RunFolder.open(path)
    plan = EvalPlan.of(folder)
    outcomes: list[Outcome] = []
    rows, unfinished = [], []
    for model in plan.models.values():
        part = plan.of_model(model.name)
        manifests = find_manifests(folder, part.evaluations)
        if len(manifests) == len(part.evaluations):
            judged = judged_rows(folder, part)
            outcomes.append(outcome_of(judged, plan.settings.evaluate.num_samples))
            counts = {"num_prompts": len({row["prompt_id"] for row in judged}), "num_null": outcomes[-1].num_null}
            estimates = _estimates(outcomes[-1], outcomes[0], plan.settings)
            rows.append({**_model(model, plan), **counts, **estimates, **_costs(folder, manifests)})
        else:
            unfinished.append(f"{model.name}: {len(manifests)} of {len(part.evaluations)} shards, name it again")
    return EvalResults(folder, plan, rows, unfinished)


def _model(model: Model, plan: EvalPlan) -> Row:
    row: Row = {"model": model.name, "from": model.source, "policy_version": model.version, "sha256": model.digest}
    return row | {"k": plan.settings.evaluate.num_samples}


def _estimates(outcome: Outcome, first: Outcome, settings: Settings) -> Row:
    """Each metric over prompts and, but for the first model, its difference from that one's."""
    row: Row = {}
    for metric, values in outcome.metrics.items():
        difference = paired_difference({0: values}, {0: first.metrics[metric]}, **settings.draws)
        row[metric] = estimate_mean(values.values(), **settings.draws)
        row[f"{metric}_difference"] = UNDEFINED if outcome is first else difference
    return row


def _costs(folder: RunFolder, manifests: list[Manifest]) -> Row:
    """Tokens of a reply, the share of replies that were cut, and seconds."""
    rows = [row for manifest in manifests for row in read_rows(folder, manifest, ["finish_reason"])]
    ends = [row["finish_reason"] for row in rows]
    tokens, seconds = total(manifests, "tokens") / len(ends), total(manifests, "seconds")
    return {
        "mean_tokens": round(tokens, 3),
        "cut_share": ends.count("length") / len(ends),
        "seconds": round(seconds, 2),
    }


def write_results(path: Path) -> Report:
    """Write page, table and plot from what is on disk now."""
    report = eval_report(read_results(path))
    report.write(path)
    return report


def eval_report(results: EvalResults) -> Report:
    """The models beside each other."""
    table = result_table(results) if results.rows else NOTHING
    method = METHOD + (MAJORITY if "maj" in results.metrics else "")
    return Report(
        title=" against ".join(results.plan.models),
        parts=[
            about(results),
            table,
            _figure(results),
            method,
            *results.unfinished,
            f"tokens: of a reply, on average. cut: replies that reached the length limit. {machine()}.",
            _model_table(results),
        ],
        brief=[about(results), table, "\n".join([method, *results.unfinished])],
        numbers=Table.of(results.rows),
    )


def result_table(results: EvalResults) -> Table:
    """The table of models: each metric and, where there are several models, its difference from the first."""
    columns = [Column("model"), Column("num_prompts", "prompts")]
    for metric in results.metrics:
        columns += with_difference(Column(metric, f"{metric}@{results.k}, %", "z.1f", 100), results.reference)
    columns += [Column("mean_tokens", "tokens", ".1f"), Column("cut_share", "cut", ".1f", 100, " %")]
    columns += [Column("seconds", form=clock), Column("num_null", "nulls", optional=True)]
    return Table(columns, results.rows)


def _model_table(results: EvalResults) -> Table:
    """What each name stands for."""
    models = results.plan.models.values()
    rows: list[Row] = [{"model": model.name, "from": model.source, "sha256": model.digest[:12]} for model in models]
    return Table.of(rows, "Models")


def about(results: EvalResults) -> str:
    """What was asked, and how, in a line."""
    settings, tasks = results.plan.settings, results.folder.document["tasks"]
    sampling = settings.evaluation_sampling
    asked = tasks["source"] if "source" in tasks else f"held out by {tasks['heldout_of']}"
    return (
        f"{results.plan.num_tasks} prompts ({asked}) x {results.k} samples at {describe_sampling(sampling)}, at "
        f"most {sampling.max_tokens} tokens, {sampling.engine}, seed {settings.seed}."
    )


def _figure(results: EvalResults) -> Figure:
    """Each metric of each model, and how far it is from the first one's."""
    panels = [_panel(results, "", values_label="%", limits=(-2, 102))]
    if results.reference:
        zero = Mark(0.0, "no difference")
        panels.append(_panel(results, "_difference", values_label=f"minus {results.reference}, points", marks=[zero]))
    return Figure(
        alt="mean@k, pass@k and maj@k of each model",
        title=f"{results.plan.num_tasks} prompts; bars: 95 % bootstrap intervals",
        panels=[panels],
        size=(4.8 * len(panels), 4.2),
    )


def _panel(results: EvalResults, suffix: str, **labels: Any) -> Panel:
    series = [
        Series(
            str(row["model"]),
            [(place, estimate_in(row, metric + suffix)) for place, metric in enumerate(results.metrics)],
            index,
            joined=False,
        )
        for index, row in enumerate(results.rows)
    ]
    ticks = {place: f"{metric}@{results.k}" for place, metric in enumerate(results.metrics)}
    return Panel(series, ticks, scale=100, form="z.1f", spread=0.4, **labels)
