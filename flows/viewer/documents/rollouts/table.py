"""The rollouts of a round, a line each: to choose from, and to go from one to the next in some order."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pyarrow as pa

from flows.report.text import span
from flows.viewer.documents.parts.prompt_counts import group_flips
from flows.viewer.documents.parts.questions import TEXTS, all_questions, ask_questions, hold_words
from flows.viewer.documents.request.paging import PageRequest, ask_page
from flows.viewer.documents.request.parameters import NotThere, as_given
from flows.viewer.documents.round_answers import RoundQuery
from flows.viewer.documents.viewed import Json, ViewedRun

MOST_SHOWN = 120
"""Characters of a text in a line."""
COLUMNS = (
    *("prompt_id", "sample", "outcome", "reward", "prediction", "why", "num_tokens", "is_cut", "advantage", "distill"),
    *("shift", "disagreement", "turned", "flip", "is_flipped"),
)
"""shift, disagreement: means over the reply's tokens of teacher minus student log-probability, and of its magnitude;
turned: what another verifier made of the verdict (`mopd reverify`); flip: the prompt's, since the round that asked it
before: `learnt` or `lost`; is_flipped: whether there is any of the two."""
FILTERED = {"outcome": str, "is_cut": bool, "distill": bool, "is_flipped": bool}
ORDERED = tuple(name for name in COLUMNS if name != "why")
SEARCHED = "prompt_id, outcome, prediction, why, turned, flip"
_KEYS = "prompt_id, sample"

_LINES = RoundQuery(
    "rollout lines",
    f"""
WITH said AS (
    SELECT round, prompt_id, sample, num_tokens, finish_reason = 'length' AS is_cut FROM rollouts WHERE {{where}}
), judged AS (
    SELECT
        round, prompt_id, sample, round(reward, 6) AS reward, success, left(prediction, {MOST_SHOWN}) AS prediction,
        coalesce(kind, left(error, {MOST_SHOWN})) AS why
    FROM verdicts WHERE {{where}}
), scored AS (
    SELECT
        round, prompt_id, sample, advantage, distill,
        list_transform(list_zip(teacher_logprobs, proximal_logprobs), lambda x: x[1]::DOUBLE - x[2]::DOUBLE) AS shifts
    FROM scores WHERE {{where}} AND condition = ''
), turns AS (
    SELECT
        round, prompt_id, sample, string_agg(
            CASE success_after WHEN true THEN 'success' WHEN false THEN 'failure' ELSE 'no verdict' END
            || ' by ' || judge_after, ', ' ORDER BY condition
        ) AS turned
    FROM flips WHERE {{where}} GROUP BY round, prompt_id, sample
)
SELECT
    r.round, r.prompt_id, r.sample,
    CASE
        WHEN v.prompt_id IS NULL THEN 'not judged' WHEN v.success IS NULL THEN 'no verdict'
        WHEN v.success THEN 'success' ELSE 'failure'
    END AS outcome,
    v.reward, v.prediction, v.why, r.num_tokens, r.is_cut, round(s.advantage, 4) AS advantage, s.distill,
    round(list_avg(s.shifts), 4) AS shift,
    round(list_avg(list_transform(s.shifts, lambda x: abs(x))), 4) AS disagreement, t.turned
FROM said AS r
LEFT JOIN judged AS v USING (round, prompt_id, sample)
LEFT JOIN scored AS s USING (round, prompt_id, sample)
LEFT JOIN turns AS t USING (round, prompt_id, sample)
""",
    ("rollouts", "verdicts", "scores", "rejudged"),
)
"""What takes reading every token's log-probabilities: once a round."""
_ROWS = """
SELECT l.*, f.flip, l.turned IS NOT NULL OR f.flip IS NOT NULL AS is_flipped
FROM lines AS l LEFT JOIN (SELECT round, prompt_id, flip FROM groups) AS f USING (round, prompt_id)
"""


def rounds(run: ViewedRun) -> Json:
    """The rounds that have rollouts."""
    return {"rounds": sorted(run.catalog.describe_rounds("rollouts"))}


def check_round(run: ViewedRun, round: int) -> None:
    """Raises NotThere for one without rollouts."""
    there = rounds(run)["rounds"]
    if round not in there:
        said = f"the run has rollouts of round {span(there)}" if there else "the run has no rollouts yet"
        raise NotThere(f"{as_given('round', round)}: {said}")


def rollouts(run: ViewedRun, round: int, prompts: Collection[str]) -> Json:
    """The rollouts of some prompts of a round by prompt and sample, column by column, for a page that is a file.

    `questions`: what each prompt asks, its beginning.
    """
    wanted = frozenset(prompts)
    rows = [row for row in run.ask(f"{_ROWS} ORDER BY {_KEYS}", given=_given(run, round)) if row["prompt_id"] in wanted]
    asked, texts = {row["prompt_id"] for row in rows}, all_questions(run, round)
    return {
        "round": round,
        "columns": {name: [row[name] for row in rows] for name in COLUMNS},
        "questions": {prompt_id: _short(row["question"]) for prompt_id, row in texts.items() if prompt_id in asked},
    }


def rollouts_page(run: ViewedRun, request: PageRequest, round: int) -> Json:
    """Some rows of a round, each with its `question`; how many there are, and how many are found.

    Raises InputError for an order or a filter that there is none of, NotThere for such a round.
    """
    check_round(run, round)
    order = request.order_sql(ORDERED, _KEYS)
    filters, values = request.filter_sql(FILTERED)
    given, search = _given(run, round), "true"
    if request.words:
        given["texts"] = run.ask_rounds(TEXTS, [round])
        search = hold_words(f"{SEARCHED}, question", request.words)
    rows = f"SELECT s.*, question FROM ({_ROWS}) AS s LEFT JOIN texts USING (round, prompt_id)"
    page, numbers = ask_page(
        run,
        rows if request.words else _ROWS,
        request,
        condition=f"{filters} AND {search}",
        order=order,
        given=given,
        **values,
        **request.words,
    )
    texts = ask_questions(run, dict.fromkeys((row["prompt_id"] for row in page), round))
    shown = [{name: row[name] for name in COLUMNS} for row in page]
    questions = [_short(texts.get(row["prompt_id"], {}).get("question")) for row in page]
    return {"rows": [{**row, "question": question} for row, question in zip(shown, questions)], **numbers, "note": None}


def neighbours(run: ViewedRun, request: PageRequest, round: int, prompt: str, sample: int) -> Json | None:
    """Who comes before and after a rollout among those that have the filters' values, in some order, and which it is of
    how many; `number` is null where it isn't among them. None of a rollout that isn't there.

    `turned`, `flip`: its own.
    """
    order = request.order_sql(ORDERED, _KEYS)
    condition, values = request.filter_sql(FILTERED)
    place = "{'prompt_id': o.prompt_id, 'sample': o.sample}"
    found = run.ask(
        f"WITH o AS (SELECT *, {condition} AS is_taken, row_number() OVER ({order}) AS place FROM ({_ROWS})), "
        "here AS (SELECT turned, flip, is_taken, place FROM o WHERE prompt_id = $prompt AND sample = $sample) "
        "SELECT any_value(h.turned) AS turned, any_value(h.flip) AS flip, "
        f"arg_max({place}, o.place) FILTER (o.is_taken AND o.place < h.place) AS previous, "
        f"arg_min({place}, o.place) FILTER (o.is_taken AND o.place > h.place) AS next, "
        "CASE WHEN any_value(h.is_taken) THEN count(*) FILTER (o.is_taken AND o.place <= h.place) END AS number, "
        "count(*) FILTER (o.is_taken) AS total FROM o CROSS JOIN here AS h HAVING count(*) > 0",
        given=_given(run, round),
        prompt=prompt,
        sample=sample,
        **values,
    )
    return found[0] if found else None


def _given(run: ViewedRun, round: int) -> dict[str, pa.Table]:
    """What _ROWS reads."""
    return {"lines": run.ask_rounds(_LINES, [round]), "groups": run.make_once(group_flips)}


def _short(text: Any) -> Any:
    return None if text is None else text[:MOST_SHOWN]
