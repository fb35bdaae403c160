"""The files of a model card: README.md as the hub has it, and all its numbers and settings as JSON."""

from __future__ import annotations

import json
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from flows.folder.commits import commits_of
from flows.report.card.base_model import CARD_FILE
from flows.report.card.license import UNKNOWN
from flows.report.card.markdown import one_line
from flows.report.card.source import CardSource
from flows.report.card.text import DETAILS_FILE, adapter_text, card_text
from mopd.hub.names import DATASET_PREFIX, HubName, dataset_name
from mopd.measures.comparison import METRICS
from mopd.models.folders import ADAPTER
from mopd.settings.objective import DistillObjective
from mopd.settings.tasks import FileTasks

TASK = "text-generation"
MEASURED = (
    "policy",
    "k",
    "num_prompts",
    "num_null",
    *(f"{name}_{part}" for name in METRICS for part in ("at_k", "interval")),
)


def card_files(source: CardSource) -> dict[str, bytes]:
    """By name within the exported folder."""
    files = {CARD_FILE: _card(front_matter(source), card_text(source)), DETAILS_FILE: _details(source)}
    if source.has_adapter:
        files[f"{ADAPTER}/{CARD_FILE}"] = _card(adapter_front_matter(source), adapter_text(source))
    return {name: text.encode() for name, text in files.items()}


def front_matter(source: CardSource) -> ModelCardData:
    """What the hub reads of a card."""
    results, license = eval_results(source), source.license or UNKNOWN
    return ModelCardData(
        base_model=source.base.hub,
        base_model_relation="finetune" if source.base.hub else None,
        datasets=sorted({name.repo for name in dataset_names(source)}) or None,
        eval_results=results or None,
        library_name="transformers",
        license=license.id,
        license_name=license.name,
        license_link=license.link,
        model_name=one_line(source.name) if results else None,
        pipeline_tag=TASK,
        tags=tags(source),
    )


def adapter_front_matter(source: CardSource) -> ModelCardData:
    """Of the adapter beside the weights."""
    base, license = source.base.hub if source.adapter_base == 0 else None, source.license or UNKNOWN
    return ModelCardData(
        base_model=base,
        base_model_relation="adapter" if base else None,
        library_name="peft",
        license=license.id,
        license_name=license.name,
        license_link=license.link,
        pipeline_tag=TASK,
        tags=tags(source),
    )


def tags(source: CardSource) -> list[str]:
    """What the model is found by."""
    objective = source.settings.train.objective
    method = "on-policy-distillation" if isinstance(objective, DistillObjective) else objective.kind
    return ["mopd", method, *(["lora"] if source.has_adapter else [])]


def dataset_names(source: CardSource) -> list[HubName]:
    """The data sets of the hub that tasks were read from, training's first."""
    tasks = source.settings.tasks
    sources = [tasks.train, tasks.heldout] if isinstance(tasks, FileTasks) else []
    return [name for text in sources if text and (name := dataset_name(text))]


def eval_results(source: CardSource) -> list[EvalResult]:
    """The policy's own held-out numbers, in percent; none where it was not evaluated."""
    entry, tasks = source.own_evaluation, source.evaluated_by.tasks
    if entry is None:
        return []
    heldout = tasks.heldout or "" if isinstance(tasks, FileTasks) else "numbers"
    name = dataset_name(heldout)
    return [
        EvalResult(
            task_type=TASK,
            dataset_type=name.repo if name else one_line(heldout),
            dataset_name=f"{one_line(heldout.removeprefix(DATASET_PREFIX))}, held out",
            dataset_revision=name.revision if name else None,
            metric_type=f"{metric}@{entry['k']}",
            metric_value=round(100 * entry[f"{metric}_at_k"], 2),
            metric_name=f"{metric}@{entry['k']}, %",
        )
        for metric in METRICS
        if entry[f"{metric}_at_k"] is not None
    ]


def _card(data: ModelCardData, text: str) -> str:
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}"))


def _details(source: CardSource) -> str:
    document = source.folder.document
    details: dict[str, Any] = {
        "run": source.folder.run_id,
        "policy": source.version,
        "round": source.round,
        "key": source.policy.key,
        "sha256": source.policy.sha256,
        "rollouts": source.num_rollouts,
        "evaluations": [{name: entry[name] for name in MEASURED} for entry in source.evaluations],
        "guards": source.breaches,
        **source.digests,
        "hub": dict(commits_of(source.folder)),
        "versions": document["versions"],
        "code_revision": document["code_revision"],
        "settings": source.settings.model_dump(mode="json"),
    }
    return json.dumps(details, indent=2, ensure_ascii=False) + "\n"
