"""What SQL is told of a run beside what lies in its folder: stages, settings by round, the plan, the words of tokens.

Most questions need none of it, and would wait for the imports.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mopd.errors import InputError
from storage.errors import StorageError
from storage.lookup import looking_once
from storage.runs import RunFolder
from storage.sql.facts import NOTHING, Knowledge, Span

if TYPE_CHECKING:
    from flows.plan.run import RunPlan

_WORD_START = "▁"
"""Of a token of SentencePiece, for the space before it, which is lost where a token is decoded alone."""


def stage_names() -> dict[str, str]:
    """The verb of the stage that fills a table."""
    from flows.plan.stage import STAGES

    return {table: stage.name for table, stage in STAGES.items()}


def settings_by_round(folder: RunFolder) -> list[Span]:
    """The settings that rounds follow: of forks, and of runs that were redone, earlier ones follow others."""
    plan = _plan_of(folder)
    if plan is None:
        return NOTHING.settings(folder)
    parts = [*plan.earlier, (plan.settings.rounds, plan)]
    firsts = [0, *(below for below, _ in parts)]
    return [(first, below - 1, part.settings.model_dump(mode="json")) for first, (below, part) in zip(firsts, parts)]


def planned_shards(folder: RunFolder) -> list[dict[str, Any]]:
    """How many shards of each table, round and name a run is known to need."""
    plan = _plan_of(folder)
    if plan is None:
        return []
    with looking_once():
        shards = [shard for part in plan.rounds for shard in part.needed(folder).all()]
        shards += [shard for part in plan.shown_evaluations(folder).values() for shard in part.all()]
    places = {shard.key: (shard.table, shard.round, shard.name) for shard in shards}
    counts = Counter(places.values())
    names = ("table_name", "round", "name")
    return [{**dict(zip(names, place)), "shards": count} for place, count in counts.items()]


def token_texts(folder: RunFolder) -> list[str]:
    """The text of each token id, by the tokenizer of the run's model; none where that isn't at hand."""
    tokenizer = find_tokenizer(folder)
    if tokenizer is None:
        return []
    ids = tokenizer.get_vocab(with_added_tokens=True)
    tokens = dict(zip(ids.values(), ids))
    texts = tokenizer.decode_batch([[number] for number in range(max(tokens) + 1)], skip_special_tokens=False)
    return [
        f" {text}" if tokens.get(number, "").startswith(_WORD_START) and not text.startswith(" ") else text
        for number, text in enumerate(texts)
    ]


def find_tokenizer(folder: RunFolder) -> Any | None:
    """The tokenizer of the run's model, of the library tokenizers; None where that isn't at hand."""
    plan = _plan_of(folder)
    model = None if plan is None else _find_model(folder, plan)
    file = None if model is None else model / "tokenizer.json"
    if file is None or not file.is_file():
        return None
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(file))


def _find_model(folder: RunFolder, plan: RunPlan) -> Path | None:
    """The folder of the run's model, where nothing has to be made or loaded for it."""
    from flows.folder.commits import are_loaded, commits_of, hub_names, pinned
    from mopd.models.embedded import BUILDERS, is_made
    from mopd.models.folders import resolve_model

    commits = commits_of(folder)
    name = plan.settings.model.path
    hub = {setting: one for setting, one in hub_names(plan.settings, commits).items() if setting == "model.path"}
    if (name in BUILDERS and not is_made(name)) or not are_loaded(hub, commits):
        return None
    try:
        return resolve_model(pinned(plan.settings, commits).model.path)
    except InputError:
        return None


def _plan_of(folder: RunFolder) -> RunPlan | None:
    """None of a folder that `mopd run` didn't make."""
    from flows.plan.run import DIGESTS, RunPlan

    if not folder.document.keys() >= set(DIGESTS):
        return None
    try:
        return RunPlan.of(folder)
    except InputError as error:
        raise StorageError(str(error)) from error


KNOWLEDGE = Knowledge(
    stages=stage_names,
    settings=settings_by_round,
    planned=planned_shards,
    vocabulary=token_texts,
)


def leave_catalog(folder: RunFolder) -> None:
    """Write the run's `catalog.sql`, for DuckDB's own command line."""
    from storage.sql.script import write_catalog

    write_catalog(folder, KNOWLEDGE)
