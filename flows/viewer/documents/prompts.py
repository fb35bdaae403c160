"""Prompts, one row each: how often they are solved, round by round, and whether that turned.

What a row has, in the file's document and in a server's pages alike:

- `prompt_id`, `dataset`, `question` (the beginning of the user's last message) and that of the `answer`, as of the last
  round that asked it
- `rounds`: [[round, successes, judged, rollouts], ...], of the rounds that asked it
- `kind` of the last of them: `none`, `mixed` or `all`, by the successes among those judged; null where none is
- `pass_rate` of the last of them that was judged, `pass_rate_first` of the first
- `flips`: how often it was solved (a pass rate of at least `SOLVED`) in one round and not in the next that asked it, or
  the other way round; rounds without verdicts are passed over. `flipped`: whether ever
- `num_rollouts`, `mean_tokens` (of a reply), `num_contexts`, `num_with_peers` (contexts that show any)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from flows.viewer.documents.parts.prompt_counts import GROUPS, ROUND, group_flips, prompt_counts
from flows.viewer.documents.parts.questions import TEXTS, all_questions, ask_questions, hold_words
from flows.viewer.documents.request.paging import PageRequest, ask_page
from flows.viewer.documents.viewed import Json, ViewedRun

FILTERED = {"prompt_id": str, "dataset": str, "kind": str, "flipped": bool}
"""Columns of which a value can be asked for, and its kind."""
ORDERED = (
    *("prompt_id", "dataset", "kind", "pass_rate", "pass_rate_first", "flips"),
    *("num_rollouts", "mean_tokens", "num_with_peers"),
)
"""Columns that rows can be put in order by."""
COUNTED = (*ORDERED, "flipped", "rounds", "num_contexts")
"""Columns that are counted; the others are the prompt's."""
MOST_SEARCHED = 5_000
"""Questions that a search of a served run reads: of so many prompts of the newest rounds."""


def prompts(run: ViewedRun) -> Json:
    """All rows, for a page that is a file."""
    counted = run.ask("FROM counts ORDER BY prompt_id", given={"counts": run.make_once(prompt_counts)})
    return {"rows": _prompt_rows(counted, all_questions(run))}


def prompts_page(run: ViewedRun, request: PageRequest) -> Json:
    """Some rows, how many there are and how many are found; a note where a search left questions out.

    Raises InputError for an order or a filter that there is none of.
    """
    order = request.order_sql(ORDERED, "prompt_id")
    filters, values = request.filter_sql(FILTERED)
    given = {"counts": run.make_once(prompt_counts)}
    search, note = "true", None
    if request.words:
        given["texts"], note = _searched(run)
        search = (
            f"({hold_words('prompt_id, dataset', request.words)} OR prompt_id IN "
            f"(SELECT prompt_id FROM texts WHERE {hold_words('prompt_id, question, about', request.words)}))"
        )
    page, numbers = ask_page(
        run,
        "FROM counts",
        request,
        condition=f"{filters} AND {search}",
        order=order,
        given=given,
        **values,
        **request.words,
    )
    texts = ask_questions(run, {row["prompt_id"]: row["rounds"][-1][0] for row in page})
    return {"rows": _prompt_rows(page, texts), **numbers, "note": note}


def prompt_filters(run: ViewedRun) -> Json:
    """The datasets that there are, and the rounds that have rollouts."""
    groups = {"groups": run.make_once(group_flips)}
    datasets = run.ask("SELECT DISTINCT dataset FROM groups WHERE dataset IS NOT NULL ORDER BY dataset", given=groups)
    rounds = run.ask("SELECT DISTINCT round FROM groups ORDER BY round", given=groups)
    return {"datasets": [row["dataset"] for row in datasets], "rounds": [row["round"] for row in rounds]}


def prompt_rounds(run: ViewedRun, prompt: str) -> Json:
    """The `rounds` of one prompt, for its groups: no other prompt is counted."""
    asked = run.ask(f"SELECT {ROUND} AS one FROM ({GROUPS.where('prompt_id = $prompt')}) ORDER BY round", prompt=prompt)
    return {"rounds": [row["one"] for row in asked]}


def _prompt_rows(counted: Iterable[Json], texts: Mapping[str, Json]) -> list[Json]:
    """What was counted of prompts, with their questions and answers."""
    return [_prompt_row(row, texts.get(row["prompt_id"], {})) for row in counted]


def _prompt_row(counted: Json, asked: Json) -> Json:
    numbers = {column: counted[column] for column in COUNTED}
    return {**numbers, "question": asked.get("question"), "answer": asked.get("answer")}


def _searched(run: ViewedRun) -> tuple[pa.Table, str | None]:
    """The texts that are searched, and a line where there are earlier ones."""
    rounds = run.ask(
        "SELECT round, sum(count(*)) OVER (ORDER BY round DESC) AS num FROM groups GROUP BY round ORDER BY round DESC",
        given={"groups": run.make_once(group_flips)},
    )
    searched = [row["round"] for number, row in enumerate(rounds) if number == 0 or row["num"] <= MOST_SEARCHED]
    note = f"questions and answers are searched from round {min(searched)} on, ids in all rounds" if searched else None
    return run.ask_rounds(TEXTS, searched), note if len(searched) < len(rounds) else None
