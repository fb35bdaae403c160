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

from collections.abc import Iterable, Sequence

from flows.viewer.documents.paging import PageRequest, one_of
from flows.viewer.documents.viewed import SOLVED, Json, ViewedRun

FILTERED = ("prompt_id", "dataset", "kind", "flipped")
"""Columns of which a value can be asked for."""
ORDERED = (
    *("prompt_id", "dataset", "kind", "pass_rate", "pass_rate_first", "flips"),
    *("num_rollouts", "mean_tokens", "num_with_peers"),
)
"""Columns that rows can be put in order by."""
COUNTED = (*ORDERED, "flipped", "rounds", "num_contexts")
"""Columns that small columns of the tables give, which are read at once."""
SHOWN_CHARACTERS = 2_000
"""Of a question or an answer in a row; the group has all of it, and a search of a served run looks through all."""
MOST_SEARCHED = 5_000
"""Questions that a search of a served run reads: of so many prompts of the newest rounds."""

_COUNTED = f"""
WITH said AS (
    SELECT round, prompt_id, count(*) AS num_rollouts, sum(num_tokens) AS num_tokens
    FROM rollouts GROUP BY round, prompt_id
), judged AS (
    SELECT round, prompt_id, count(success) AS num_judged, count(*) FILTER (success) AS num_successes
    FROM verdicts GROUP BY round, prompt_id
), shown AS (
    SELECT round, prompt_id, count(*) AS num_contexts, count(*) FILTER (has_sections) AS num_with_peers
    FROM contexts WHERE condition = '' GROUP BY round, prompt_id
), asked AS (
    SELECT
        r.*, p.dataset, coalesce(v.num_judged, 0) AS num_judged, coalesce(v.num_successes, 0) AS num_successes,
        c.num_contexts, c.num_with_peers, v.num_successes / nullif(v.num_judged, 0) AS pass_rate,
        CASE WHEN pass_rate = 0 THEN 'none' WHEN pass_rate = 1 THEN 'all' WHEN pass_rate > 0 THEN 'mixed' END AS kind
    FROM said AS r
    LEFT JOIN (SELECT round, prompt_id, dataset FROM prompts) AS p USING (round, prompt_id)
    LEFT JOIN judged AS v USING (round, prompt_id)
    LEFT JOIN shown AS c USING (round, prompt_id)
), turned AS (
    SELECT *, (pass_rate >= {SOLVED}) <> (lag(pass_rate IGNORE NULLS) OVER rounds >= {SOLVED}) AS is_flip
    FROM asked WINDOW rounds AS (PARTITION BY prompt_id ORDER BY round)
)
SELECT
    prompt_id, arg_max_null(dataset, round) AS dataset,
    list([round, num_successes, num_judged, num_rollouts] ORDER BY round) AS rounds,
    arg_max_null(kind, round) AS kind,
    arg_max(pass_rate, round) AS pass_rate, arg_min(pass_rate, round) AS pass_rate_first,
    count(*) FILTER (is_flip) AS flips, count(*) FILTER (is_flip) > 0 AS flipped,
    sum(num_rollouts)::BIGINT AS num_rollouts, sum(num_tokens) / sum(num_rollouts) AS mean_tokens,
    coalesce(sum(num_contexts), 0)::BIGINT AS num_contexts,
    coalesce(sum(num_with_peers), 0)::BIGINT AS num_with_peers
FROM turned GROUP BY prompt_id
"""
_KEPT = {"prompt_counts": _COUNTED}
"""Counted once: a run of a million rollouts has a hundred thousand groups."""
_QUESTION = "coalesce([m.content FOR m IN messages IF m.role = 'user'][-1], messages[-1].content)"
_SHOWN = f"left(answer, {SHOWN_CHARACTERS}) AS answer, left({_QUESTION}, {SHOWN_CHARACTERS}) AS question"
_TEXTS = f"""
SELECT prompt_id, lower(concat_ws(' ', prompt_id, dataset, answer, {_QUESTION})) AS text
FROM prompts WHERE round >= {{first}}
"""
"""What a search looks through."""


def prompts(run: ViewedRun) -> Json:
    """All rows, for a page that is a file."""
    counted = run.ask("SELECT * FROM kept.prompt_counts ORDER BY prompt_id", kept=_KEPT)
    asked = run.ask(
        f"SELECT prompt_id, {_SHOWN} FROM prompts "
        "QUALIFY row_number() OVER (PARTITION BY prompt_id ORDER BY round DESC) = 1"
    )
    return {"rows": prompt_rows(counted, asked)}


def prompts_page(run: ViewedRun, request: PageRequest) -> Json:
    """Some rows, how many there are and how many are found; a note where a search left questions out.

    Raises InputError for an order or a filter that there is none of.
    """
    order = request.order_sql(ORDERED, "prompt_id")
    filters, values = request.filter_sql(FILTERED)
    words = {f"word{number}": word for number, word in enumerate(request.words)}
    first, note = _first_searched(run) if words else (0, None)
    counted = run.ask(
        f"WITH found AS (SELECT * FROM kept.prompt_counts WHERE {filters} AND {_search(words)}), "
        f"page AS (SELECT * FROM found {order} LIMIT $length OFFSET $start), "
        "total AS (SELECT count(*) AS total FROM kept.prompt_counts), "
        "filtered AS (SELECT count(*) AS filtered FROM found) "
        f"SELECT * FROM total CROSS JOIN filtered LEFT JOIN page ON true {order}",
        kept={**_KEPT, **({"prompt_texts": _TEXTS.format(first=first)} if words else {})},
        **{**values, **words, "length": request.length, "start": request.start},
    )
    numbers = {"total": counted[0]["total"], "filtered": counted[0]["filtered"], "note": note}
    page = [row for row in counted if row["prompt_id"] is not None]
    return {"rows": prompt_rows(page, _ask_texts(run, page)), **numbers}


def prompt_filters(run: ViewedRun) -> Json:
    """The datasets that there are, and the rounds that have rollouts."""
    asked = run.ask(
        "SELECT DISTINCT dataset, unnest([one[1] FOR one IN rounds]) AS round FROM kept.prompt_counts", kept=_KEPT
    )
    datasets = {row["dataset"] for row in asked} - {None}
    return {"datasets": sorted(datasets), "rounds": sorted({row["round"] for row in asked})}


def prompt_rows(counted: Iterable[Json], asked: Iterable[Json]) -> list[Json]:
    """What was counted of prompts, with their questions and answers."""
    texts = {row["prompt_id"]: row for row in asked}
    return [_prompt_row(row, texts.get(row["prompt_id"], {})) for row in counted]


def _prompt_row(counted: Json, asked: Json) -> Json:
    numbers = {column: counted[column] for column in COUNTED}
    return {**numbers, "question": asked.get("question"), "answer": asked.get("answer")}


def _ask_texts(run: ViewedRun, rows: Sequence[Json]) -> list[Json]:
    """Questions and answers of some rows: no more shards are opened than have them."""
    last_rounds = {row["prompt_id"]: row["rounds"][-1][0] for row in rows}
    (ids, id_values), (rounds, round_values) = (
        one_of("prompt_id", last_rounds),
        one_of("round", set(last_rounds.values())),
    )
    asked = run.ask(
        f"SELECT round, prompt_id, {_SHOWN} FROM prompts WHERE {ids} AND {rounds}",
        **id_values,
        **round_values,
    )
    return [row for row in asked if row["round"] == last_rounds[row["prompt_id"]]]


def _search(words: Iterable[str]) -> str:
    """The condition that a row holds all words, which are bound to these names."""
    held = {column: " AND ".join(f"contains({column}, ${word})" for word in words) for column in ("text", "name")}
    if not held["text"]:
        return "true"
    texts = f"SELECT prompt_id FROM kept.prompt_texts WHERE {held['text']}"
    names = "SELECT prompt_id, lower(concat_ws(' ', prompt_id, dataset)) AS name FROM kept.prompt_counts"
    return f"prompt_id IN ({texts} UNION SELECT prompt_id FROM ({names}) WHERE {held['name']})"


def _first_searched(run: ViewedRun) -> tuple[int, str | None]:
    """The first round whose questions are searched, and a line where there are earlier ones."""
    rounds = run.ask(
        "SELECT round, sum(count(*)) OVER (ORDER BY round DESC) AS num FROM prompts GROUP BY round ORDER BY round DESC"
    )
    searched = [row["round"] for number, row in enumerate(rounds) if number == 0 or row["num"] <= MOST_SEARCHED]
    first = min(searched, default=0)
    if len(searched) == len(rounds):
        return first, None
    return first, f"questions and answers are searched from round {first} on, ids in all rounds"
