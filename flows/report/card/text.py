"""What a model card says under its front matter, section by section."""

from __future__ import annotations

from dataclasses import replace

from flows.plan.stage import is_free
from flows.report.card.loading import loading_text, peft_code
from flows.report.card.markdown import bullets, code, code_value, heading
from flows.report.card.source import CardSource
from flows.report.status.guards import guards_text
from flows.report.status.text import evaluation_table
from flows.report.table import Column, Row, Table, Value
from mopd.hub.names import DATASET_PREFIX
from mopd.models.folders import ADAPTER
from mopd.settings import Settings
from mopd.settings.base import Frozen
from mopd.settings.objective import DistillObjective
from mopd.settings.sampling import describe_sampling
from mopd.settings.tasks import FileTasks
from mopd.settings.tree import differences, flatten
from storage.manifests import is_removable, is_weights

DETAILS_FILE = "mopd.json"
PEERS = (
    "Multi-Rollout On-Policy Distillation ([arXiv 2605.12652](https://arxiv.org/abs/2605.12652)): several replies to "
    "each prompt are sampled and verified, a teacher that is shown replies of the same group reads each of them again, "
    "and the policy is drawn towards what that teacher says, token by token"
)
NO_PEERS = (
    "on-policy distillation: replies are sampled, a teacher reads each of them again, and the policy is drawn towards "
    "what that teacher says, token by token"
)


def card_text(source: CardSource) -> str:
    """The whole of it, as Markdown."""
    sections = {
        "How to load it": loading_text(source),
        "Held-out results": _results(source),
        "Training": _training(source),
        "Settings": _settings(source),
        "Made by": _provenance(source),
        "License": _license(source),
    }
    parts = [f"# {heading(source.name)}", _introduction(source)]
    return "\n\n".join([*parts, *(f"## {title}\n\n{text}" for title, text in sections.items())]) + "\n"


def adapter_text(source: CardSource) -> str:
    """Of the adapter that lies beside the weights."""
    if source.adapter_base == 0:
        base = f"Its base is the initial model: {source.base.what}."
        loading = f"## How to load it\n\n{peft_code(source)}"
    else:
        base = f"Its base is policy {source.adapter_base} of the same run, which `mopd export` copies too."
        loading = ""
    parts = [
        f"# Adapter of {heading(source.name)}",
        f"The low-rank adapter that policy {source.version} was trained as. The weights in the folder above have it "
        f"merged in. {base}",
        loading,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _introduction(source: CardSource) -> str:
    return (
        f"A language model that mopd trained, from {source.base.what}, by {_method(source.settings)}.\n\n"
        f"It is policy {source.version} of the run {code(source.folder.run_id)}, after round {source.round}."
    )


def _method(settings: Settings) -> str:
    objective = settings.train.objective
    if not isinstance(objective, DistillObjective):
        return f"{code(objective.kind)}: {_meaning(objective).removesuffix('.')}"
    return PEERS if settings.condition.variant.needs_peers else NO_PEERS


def _results(source: CardSource) -> str:
    if not source.evaluations:
        return "None: this policy was not evaluated."
    table = evaluation_table(source.evaluations)
    columns = [column for column in table.columns if column.key not in ("seconds", "best")]
    names: dict[Value, str] = {0: "0, the base model", source.version: f"{source.version}, this model"}
    rows: list[Row] = [{**row, "policy": names.get(row["policy"]) or row["policy"]} for row in table.rows]
    sampling = source.evaluated_by.evaluation_sampling
    notes = "" if source.own_evaluation else " This policy was not evaluated."
    if source.num_other_evaluations:
        notes += " Policies that were evaluated under other settings, or on other tasks, are left out."
    return (
        f"On {_heldout(source)}, with 95 % intervals over prompts, sampled with "
        f"{code(describe_sampling(sampling))}, {sampling.max_tokens:,} tokens at most.{notes}\n\n"
        f"{replace(table, columns=columns, rows=rows, title='').markdown()}"
    )


def _heldout(source: CardSource) -> str:
    tasks = source.evaluated_by.tasks
    if isinstance(tasks, FileTasks) and tasks.overlap == "allow":
        return "held-out tasks, of which some may have been trained on too (`tasks.overlap: allow`)"
    if not source.is_heldout:
        return "held-out tasks, of which some may be among the other tasks that earlier rounds were trained on"
    return "tasks that no policy was trained on"


def _training(source: CardSource) -> str:
    settings = source.settings
    since = f", those from {source.settings_since} on" if source.settings_since else ""
    lines = [
        f"Base model: {source.base.what}.",
        f"Tasks: {_tasks(source)}.",
        f"Rounds: {source.version}{since}, of {settings.generate.num_prompts} prompts with "
        f"{settings.generate.num_samples} rollouts each; "
        f"{source.num_rollouts:,} rollouts were sampled for this policy and those before it.",
        f"Objective: {code(settings.train.objective.kind)}. {_meaning(settings.train.objective)}",
    ]
    if isinstance(settings.train.objective, DistillObjective):
        teacher, condition = settings.train.teacher, settings.condition
        lines += [
            f"Teacher: {_choice(teacher, 'train.teacher')}. {_meaning(teacher)}",
            f"What it is shown: {_choice(condition.variant, 'condition.variant')}, rendered as {condition.rendering}. "
            f"{_meaning(condition.variant)}",
        ]
        if source.chosen_context:
            lines.append(f"What was chosen for the last round: {code(source.chosen_context)}.")
    if source.settings_since:
        lines.append(f"Rounds before {source.settings_since} followed other settings than those of this card.")
    if source.has_adapter:
        lines.append(
            f"Low-rank adapter: {_choice(settings.train.lora, 'train.lora')}; it lies in {code(f'{ADAPTER}/')} too."
        )
    breaches = guards_text({"breaches": source.breaches})
    lines.append("Guards: " + ("; ".join(map(code, breaches.splitlines())) or "none was breached") + ".")
    return bullets(lines)


def _tasks(source: CardSource) -> str:
    tasks, counts = source.settings.tasks, f"{source.digests['num_heldout']} held out"
    if source.num_train is not None:
        counts = f"{source.num_train} to train on, {counts}"
    if not isinstance(tasks, FileTasks):
        return f"generated questions about numbers ({', '.join(map(code, tasks.questions))}), {counts}"
    sources = [code(source.removeprefix(DATASET_PREFIX)) for source in (tasks.train, tasks.heldout) if source]
    return f"{' and, held out, '.join(sources)}, {counts}"


def _settings(source: CardSource) -> str:
    changed = differences(Settings(), source.settings)
    rows: list[Row] = [
        {"setting": code(name), "value": code_value(value), "default": code_value(default)}
        for name, (default, value) in changed.items()
    ]
    table = Table([Column("setting"), Column("value"), Column("default")], rows).markdown()
    differing = f"Those that differ from the defaults:\n\n{table}" if rows else "All at their defaults."
    return f"{differing}\n\nAll of them are in {code(DETAILS_FILE)}."


def _provenance(source: CardSource) -> str:
    document, policy, digests = source.folder.document, source.policy, source.digests
    weights = {
        name: entry["sha256"] for name, entry in policy.files.items() if is_weights(name) and not is_removable(name)
    }
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    lines = [
        f"Policy: key {code(policy.key)}, which hashes all that decides its content; sha256 {code(policy.sha256)}.",
        *(f"{code(name)}: sha256 {code(sha256)}." for name, sha256 in weights.items()),
        f"Base model: digest {code(digests['model_digest'])}; tasks: digest {code(digests['tasks_digest'])}.",
        f"Code: {code(document['code_revision'])}; {code(versions)}.",
    ]
    return bullets(lines)


def _license(source: CardSource) -> str:
    if not source.license:
        return (
            "Not known: the base model's card names none that was at hand. Fill in `license` at the head of this file, "
            "by the base model's terms, or export it again with `--license`."
        )
    return f"{code(source.license.text)}."


def _meaning(choice: Frozen) -> str:
    """What a choice of the settings is, in the words of its class."""
    return " ".join((type(choice).__doc__ or "").split())


def _choice(choice: Frozen | None, setting: str) -> str:
    """A choice with those of its settings that decide anything."""
    values = {} if choice is None else flatten(choice)
    kind = values.pop("kind", None)
    parts = [f"{name} {code_value(value)}" for name, value in values.items() if not is_free(f"{setting}.{name}")]
    return " with ".join(part for part in (code(kind) if kind else "", ", ".join(parts)) if part)
