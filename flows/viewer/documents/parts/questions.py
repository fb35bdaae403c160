"""What prompts ask: of some rows the beginnings, and of rounds the whole texts, to be searched.

Held-out prompts lie in the same table, under the numbers of policies: they are never read here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flows.viewer.documents.request.paging import one_of
from flows.viewer.documents.round_answers import RoundQuery
from flows.viewer.documents.viewed import Json, ViewedRun

SHOWN_CHARACTERS = 2_000
"""Of a question or an answer in a row; the group has all of it, and a search of a served run looks through all."""
TRAINED = "split IS DISTINCT FROM 'heldout'"
QUESTION = "coalesce([m.content FOR m IN messages IF m.role = 'user'][-1], messages[-1].content)"
"""The user's last message; of a prompt without one the last of all."""
_SHOWN = (
    f"prompt_id, left({QUESTION}, {SHOWN_CHARACTERS}) AS question, left(answer, {SHOWN_CHARACTERS}) AS answer "
    "FROM prompts"
)
TEXTS = RoundQuery(
    "texts",
    f"SELECT round, prompt_id, lower({QUESTION}) AS question, lower(concat_ws(' ', dataset, answer)) AS about "
    f"FROM prompts WHERE {{where}} AND {TRAINED}",
    ("prompts",),
)
"""What a search looks through."""


def ask_questions(run: ViewedRun, rounds: Mapping[str, int]) -> dict[str, Json]:
    """By prompt the beginnings of `question` and `answer`, as of a round that asked it; no more shards are opened than
    have them."""
    ids, id_values = one_of("prompt_id", rounds)
    numbers, number_values = one_of("round", set(rounds.values()))
    asked = run.ask(f"SELECT round, {_SHOWN} WHERE {ids} AND {numbers} AND {TRAINED}", **id_values, **number_values)
    return {row["prompt_id"]: row for row in asked if row["round"] == rounds[row["prompt_id"]]}


def all_questions(run: ViewedRun, round: int | None = None) -> dict[str, Json]:
    """The same of every prompt of a round, or of all as of the last one."""
    where = TRAINED if round is None else f"{TRAINED} AND round = {round}"
    last = "QUALIFY row_number() OVER (PARTITION BY prompt_id ORDER BY round DESC) = 1"
    return {row["prompt_id"]: row for row in run.ask(f"SELECT {_SHOWN} WHERE {where} {last}")}


def hold_words(columns: str, words: Iterable[str]) -> str:
    """The condition that some columns together hold all words, which are bound to these names."""
    text = f"lower(concat_ws(' ', {columns}))"
    return " AND ".join(f"contains({text}, ${word})" for word in words) or "true"
