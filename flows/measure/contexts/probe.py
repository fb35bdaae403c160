"""Which context does the student gain most from, before anything is trained? What `mopd probe` and its flow know."""

from __future__ import annotations

from collections.abc import Sequence

from flows.execute.work import Rows
from flows.measure.contexts.analysis import Analysis, asked_alike, open_analysis
from flows.measure.contexts.probe_report import ProbeResults, measure_signals
from flows.measure.contexts.request import ContextsRequest
from flows.report.table import Row
from mopd.errors import InputError
from mopd.measures.probe import gain_of
from mopd.measures.signals import has_all_sections
from mopd.settings import Settings
from mopd.settings.condition import AutoVariant
from mopd.settings.context_choice import ContextChoice
from storage.runs import RunFolder

OUTCOME = ("prompt_id", "sample", "success")
COLUMNS_READ: dict[str, Sequence[str] | None] = {
    "answers": (*OUTCOME, "token_ids"),
    "contexts": ("prompt_id", "sample", "peers", "num_tokens"),
    "signals": None,
}
"""Of each table what the results are made of; None: all."""
DEFAULT_VARIANTS = ("none", "success", "positive", "failure", "contrastive")


def probe_choices(settings: Settings, request: ContextsRequest) -> list[ContextChoice]:
    """What is compared: what was asked for, else the candidates of `condition.variant: auto`, else the usual ones.

    Raises InputError for a context that can't be, or that needs what the rollouts will lack.
    """
    auto = settings.condition.variant
    choices = request.choices(auto.candidates if isinstance(auto, AutoVariant) else DEFAULT_VARIANTS)
    for choice in choices:
        asked_alike(settings, choice, "the run")
        if settings.generate.num_samples == 1 and choice.variant.needs_peers:
            raise InputError(f"generate.num_samples: 1 leaves no peers for {choice.name}; set it to 2 or more")
    if settings.generate.num_prompts < 2:
        raise InputError("generate.num_prompts: 1 is too few, intervals are over prompts; set it to 2 or more")
    return choices


def read_probe(folder: RunFolder, round: int, choices: list[ContextChoice]) -> ProbeResults:
    """What every context came to. Raises StorageError where a shard has gone."""
    analysis = open_analysis(folder, round, choices, [], answers=True)
    verdicts = analysis.verdicts(folder, OUTCOME)
    tables = {table: analysis.rows(folder, table, columns) for table, columns in COLUMNS_READ.items()}
    rows = [_row(analysis, name, verdicts, *(tables[table][name] for table in tables)) for name in analysis.parts]
    named = {choice.name: choice for choice in choices}
    return ProbeResults(folder, round, rows, choices=named, conditions=analysis.names(folder))


def _row(analysis: Analysis, name: str, verdicts: Rows, answers: Rows, contexts: Rows, signals: Rows) -> Row:
    settings = analysis.conditions[name]
    variant = settings.condition.variant
    with_all = {(row["prompt_id"], row["sample"]) for row in contexts if has_all_sections(row, variant)}
    full = [row for row in answers if (row["prompt_id"], row["sample"]) in with_all]
    gain = gain_of(verdicts, answers, **settings.draws)
    return {
        "context": name,
        "num_prompts": gain.gap.num,
        "num_null": gain.num_null,
        "student": gain.student,
        "self_teacher": gain.self_teacher,
        "gap": gain.gap,
        "full_gap": gain_of(verdicts, full, **settings.draws).gap,
        **measure_signals(signals, **settings.draws),
        "full_share": len(full) / len(answers) if answers else None,
        "context_tokens": sum(row["num_tokens"] for row in contexts) / len(contexts) if contexts else None,
        "answer_tokens": sum(len(row["token_ids"]) for row in answers) / len(answers) if answers else None,
    }
