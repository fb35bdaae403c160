"""What came of an evaluation: each model's numbers, and how far they are from the first one's, as text and files."""

from __future__ import annotations

import csv
import io
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.artifacts import total
from flows.eval_plan import EvalPlan, Model
from flows.progress import clock
from flows.shard import EvaluationPlan
from flows.status import judged_rows
from flows.text import Cell, markdown_table, percent, said, text_table
from mopd.evaluate import EvaluationSummary, summarize_evaluation
from mopd.measures.comparison import Estimate, Outcome, difference, outcome_of
from storage.files import write_replacing
from storage.runs import RunFolder
from storage.shards import Manifest, read_rows

Row = dict[str, Cell]
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
        return Estimate(value, interval, 1, getattr(self.summary, f"num_{name}_prompts"))

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
    draws = {"num_samples": settings.evaluate.bootstrap_samples, "rng_seed": settings.seed}
    return ModelResult(
        model=model,
        summary=summarize_evaluation(rows, settings.evaluate, settings.seed),
        outcome=outcome,
        differences={
            metric: difference({0: getattr(outcome, metric)}, {0: getattr(first, metric)}, **draws)
            for metric in (METRICS if first is not None else ())
        },
        num_samples=len(rows),
        num_tokens=int(total(manifests, "tokens")),
        num_cut=ends.count("length"),
        seconds=total(manifests, "seconds"),
    )


def write_results(path: Path) -> EvalResults:
    """Write page, table and plot from what is on disk now."""
    from flows.eval_plot import write_plot

    results = read_results(path)
    for name, text in (("results.csv", csv_text(results)), ("results.md", page(results))):
        write_replacing(results.folder.path, results.folder.path / name, text.encode())
    write_plot(results, results.folder.path / "plot.png")
    return results


def result_rows(results: EvalResults) -> list[Row]:
    """The table of models."""
    nulls = any(one.summary.num_null for one in results.models)
    return [
        {
            "model": one.model.name,
            "prompts": one.summary.num_prompts,
            **_metric_columns(results, one),
            "tokens": round(one.mean_tokens, 1),
            "cut": percent(one.num_cut, one.num_samples),
            "seconds": clock(one.seconds),
            **({"nulls": one.summary.num_null} if nulls else {}),
        }
        for one in results.models
    ]


def _metric_columns(results: EvalResults, one: ModelResult) -> Row:
    """Each metric and, where there are several models, its difference from the first; blanks tell columns apart."""
    row: Row = {}
    for place, metric in enumerate(results.metrics):
        row[f"{METRICS[metric]}@{results.k}, %"] = said(one.estimate(metric))
        if len(results.models) > 1:
            row[f"minus {results.models[0].model.name}{' ' * place}"] = said(one.differences.get(metric), sign=True)
    return row


def model_rows(results: EvalResults) -> list[Row]:
    """What each name stands for."""
    return [
        {"model": model.name, "from": model.source, "sha256": model.digest[:12]}
        for model in results.plan.models.values()
    ]


def terminal_text(results: EvalResults) -> str:
    """The table at the end of `mopd eval`, and what is missing from it."""
    table = text_table(result_rows(results)) if results.models else "nothing is evaluated to the end yet"
    return "\n".join([f"{about(results)}\n\n{table}\n\n{_method(results)}", *results.unfinished])


def page(results: EvalResults) -> str:
    """The whole of the results in Markdown."""
    parts = [f"# {' against '.join(results.plan.models)}", about(results), markdown_table(result_rows(results))]
    parts += ["![mean@k, pass@k and maj@k of each model](plot.png)", _method(results), *results.unfinished]
    parts += [f"tokens: of a reply, on average. cut: replies that reached the length limit. {_machine()}"]
    parts += ["## Models", markdown_table(model_rows(results))]
    return "\n\n".join(parts) + "\n"


def about(results: EvalResults) -> str:
    """What was asked, and how, in a line."""
    settings, tasks = results.plan.settings, results.folder.document["tasks"]
    generate = settings.generate
    asked = tasks["source"] if "source" in tasks else f"held out by {tasks['heldout_of']}"
    return (
        f"{results.plan.num_tasks} prompts ({asked}) x {results.k} samples at temperature {generate.temperature:g}, at "
        f"most {generate.max_tokens} tokens, {generate.engine}, seed {settings.seed}."
    )


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores."


def _method(results: EvalResults) -> str:
    return METHOD + (MAJORITY if "majority" in results.metrics else "")


def csv_text(results: EvalResults) -> str:
    """One row a model; shares in [0, 1], empty where undefined."""
    rows = [_csv_row(one) for one in results.models]
    out = io.StringIO()
    writer = csv.DictWriter(
        out, list(dict.fromkeys(name for row in rows for name in row)), restval="", lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _csv_row(one: ModelResult) -> dict[str, Any]:
    model, summary = one.model, one.summary
    row: dict[str, Any] = {"model": model.name, "from": model.source, "policy_version": model.version}
    row |= {"sha256": model.digest, "k": summary.k, "num_prompts": summary.num_prompts, "num_null": summary.num_null}
    for metric, name in METRICS.items():
        row |= _csv_estimate(name, one.estimate(metric))
        row |= _csv_estimate(f"{name}_difference", one.differences.get(metric))
    row |= {"mean_tokens": round(one.mean_tokens, 3), "cut_share": one.num_cut / one.num_samples}
    return row | {"seconds": round(one.seconds, 2)}


def _csv_estimate(name: str, found: Estimate | None) -> dict[str, Any]:
    low, high = (found.interval if found else None) or (None, None)
    return {name: found.value if found else None, f"{name}_low": low, f"{name}_high": high}
