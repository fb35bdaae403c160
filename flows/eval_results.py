"""What came of an evaluation: each model's numbers, and how far they are from the first one's, as text and files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.artifacts import total
from flows.eval_plan import EvalPlan, Model
from flows.progress import clock
from flows.report.figure import Figure, Mark, Panel, Series
from flows.report.report import Report, machine
from flows.report.table import UNDEFINED, Column, Row, Table, Value
from flows.shard import EvaluationPlan
from flows.status import judged_rows
from flows.text import percent
from mopd.evaluate import EvaluationSummary, summarize_evaluation
from mopd.measures.comparison import Outcome, outcome_of, paired_difference
from mopd.measures.estimate import Estimate
from storage.runs import RunFolder
from storage.shards import Manifest, read_rows

NOTHING = "nothing is evaluated to the end yet"
METRICS = {"mean": "mean", "passed": "pass", "majority": "maj"}
"""What an `Outcome` calls a metric, and what it is called in tables and in a summary."""
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
class ModelResult:
    """The numbers of one model that was evaluated to the end."""

    model: Model
    summary: EvaluationSummary
    outcome: Outcome
    differences: Mapping[str, Estimate]
    """From the first model, by metric; empty for that one itself."""
    num_samples: int
    num_tokens: int
    """Of all replies."""
    num_cut: int
    """Replies that reached `generate.max_tokens`."""
    seconds: float

    def estimate(self, metric: str) -> Estimate:
        """A metric over prompts, as the summary has it."""
        name = METRICS[metric]
        value, interval = getattr(self.summary, f"{name}_at_k"), getattr(self.summary, f"{name}_interval")
        return Estimate.of(value, interval, getattr(self.summary, f"num_{name}_prompts"))

    def difference(self, metric: str) -> Estimate:
        """A metric minus the first model's; undefined for that one itself."""
        return self.differences.get(metric, UNDEFINED)

    @property
    def mean_tokens(self) -> float:
        """Of a reply."""
        return self.num_tokens / self.num_samples


@dataclass(frozen=True)
class EvalResults:
    """All that an evaluation's folder holds by now."""

    folder: RunFolder
    plan: EvalPlan
    models: list[ModelResult]
    unfinished: list[str]
    """A line for each model that is not evaluated to the end."""

    @property
    def k(self) -> int:
        """Samples a prompt."""
        return self.plan.settings.evaluate.num_samples

    @property
    def metrics(self) -> list[str]:
        """Those that are defined for a model at least; mean@k and pass@k in any case."""
        voted = any(one.summary.maj_at_k is not None for one in self.models)
        return list(METRICS) if voted else list(METRICS)[:2]


def read_results(path: Path) -> EvalResults:
    """Everything from disk."""
    folder = RunFolder.open(path)
    plan = EvalPlan.of(folder)
    found: list[ModelResult] = []
    unfinished = []
    for model in plan.models.values():
        part = plan.of_model(model.name)
        manifests = [manifest for shard in part.evaluations if (manifest := shard.find(folder)) is not None]
        if len(manifests) == len(part.evaluations):
            found.append(_read_model(folder, plan, model, part, manifests, found[0].outcome if found else None))
        else:
            unfinished.append(f"{model.name}: {len(manifests)} of {len(part.evaluations)} shards, name it again")
    return EvalResults(folder, plan, found, unfinished)


def _read_model(
    folder: RunFolder,
    plan: EvalPlan,
    model: Model,
    part: EvaluationPlan,
    manifests: list[Manifest],
    first: Outcome | None,
) -> ModelResult:
    rows, settings = judged_rows(folder, part), plan.settings
    ends = [row["finish_reason"] for one in manifests for row in read_rows(folder, one, ["finish_reason"])]
    outcome = outcome_of(rows, settings.evaluate.num_samples)
    draws = {"num_samples": settings.evaluate.bootstrap_samples, "seed": settings.seed}
    return ModelResult(
        model=model,
        summary=summarize_evaluation(rows, settings.evaluate, settings.seed),
        outcome=outcome,
        differences={
            metric: paired_difference({0: getattr(outcome, metric)}, {0: getattr(first, metric)}, **draws)
            for metric in (METRICS if first is not None else ())
        },
        num_samples=len(rows),
        num_tokens=int(total(manifests, "tokens")),
        num_cut=ends.count("length"),
        seconds=total(manifests, "seconds"),
    )


def write_results(path: Path) -> Report:
    """Write page, table and plot from what is on disk now."""
    report = eval_report(read_results(path))
    report.write(path)
    return report


def eval_report(results: EvalResults) -> Report:
    """The models beside each other."""
    table = result_table(results) if results.models else None
    method = METHOD + (MAJORITY if "majority" in results.metrics else "")
    return Report(
        title=" against ".join(results.plan.models),
        parts=[
            about(results),
            table or NOTHING,
            _figure(results),
            method,
            *results.unfinished,
            f"tokens: of a reply, on average. cut: replies that reached the length limit. {machine()}.",
            _model_table(results),
        ],
        brief=[about(results), table or NOTHING, "\n".join([method, *results.unfinished])],
        numbers=Table.of([_numbers(one) for one in results.models]),
    )


def result_table(results: EvalResults) -> Table:
    """The table of models: each metric and, where there are several models, its difference from the first."""
    columns = [Column("model"), Column("prompts")]
    for metric in results.metrics:
        columns += [Column(metric, f"{METRICS[metric]}@{results.k}, %", "z.1f", 100)]
        if len(results.models) > 1:
            columns += [Column(f"{metric} difference", f"minus {results.models[0].model.name}", "+z.1f", 100)]
    columns += [Column("tokens"), Column("cut"), Column("seconds"), Column("nulls", optional=True)]
    return Table(columns, [_row(one) for one in results.models])


def _row(one: ModelResult) -> Row:
    return {
        "model": one.model.name,
        "prompts": one.summary.num_prompts,
        **{metric: one.estimate(metric) for metric in METRICS},
        **{f"{metric} difference": difference for metric, difference in one.differences.items()},
        "tokens": round(one.mean_tokens, 1),
        "cut": percent(one.num_cut, one.num_samples),
        "seconds": clock(one.seconds),
        "nulls": one.summary.num_null,
    }


def _model_table(results: EvalResults) -> Table:
    """What each name stands for."""
    models = results.plan.models.values()
    return Table.of(
        [{"model": model.name, "from": model.source, "sha256": model.digest[:12]} for model in models], "Models"
    )


def about(results: EvalResults) -> str:
    """What was asked, and how, in a line."""
    settings, tasks = results.plan.settings, results.folder.document["tasks"]
    generate = settings.generate
    asked = tasks["source"] if "source" in tasks else f"held out by {tasks['heldout_of']}"
    return (
        f"{results.plan.num_tasks} prompts ({asked}) x {results.k} samples at temperature {generate.temperature:g}, at "
        f"most {generate.max_tokens} tokens, {generate.engine}, seed {settings.seed}."
    )


def _figure(results: EvalResults) -> Figure:
    """Each metric of each model, and how far it is from the first one's."""
    panels = [_panel(results, ModelResult.estimate, values_label="%", limits=(-2, 102))]
    if len(results.models) > 1:
        label = f"minus {results.models[0].model.name}, points"
        zero = Mark(0.0, {"color": "C0", "linewidth": 1.2})
        panels.append(_panel(results, ModelResult.difference, values_label=label, marks=[zero]))
    return Figure(
        alt="mean@k, pass@k and maj@k of each model",
        title=f"{results.plan.num_tasks} prompts; bars: 95 % bootstrap intervals",
        panels=[panels],
        size=(4.8 * len(panels), 4.2),
    )


def _panel(results: EvalResults, estimate_of: Callable[[ModelResult, str], Estimate], **labels: Any) -> Panel:
    series = [
        Series(
            one.model.name,
            [(place, estimate_of(one, metric)) for place, metric in enumerate(results.metrics)],
            {"color": f"C{index}", "linestyle": "none"},
        )
        for index, one in enumerate(results.models)
    ]
    ticks = {place: f"{METRICS[metric]}@{results.k}" for place, metric in enumerate(results.metrics)}
    return Panel(series, ticks, scale=100, spread=0.4, **labels)


def _numbers(one: ModelResult) -> Row:
    """One model in the CSV; shares in [0, 1]."""
    model, summary = one.model, one.summary
    row: dict[str, Value] = {"model": model.name, "from": model.source, "policy_version": model.version}
    row |= {"sha256": model.digest, "k": summary.k, "num_prompts": summary.num_prompts, "num_null": summary.num_null}
    for metric, name in METRICS.items():
        row |= {name: one.estimate(metric), f"{name}_difference": one.difference(metric)}
    row |= {"mean_tokens": round(one.mean_tokens, 3), "cut_share": one.num_cut / one.num_samples}
    return row | {"seconds": round(one.seconds, 2)}
