"""The rollouts of a round, a line each: to choose from, and to walk from one to the next in some order."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from flows.viewer.documents.viewed import SOLVED, Json, ViewedRun

MOST_SHOWN = 120
"""Characters of a text in a line."""
COLUMNS = (
    *("prompt_id", "sample", "outcome", "reward", "prediction", "why", "num_tokens", "is_cut", "advantage", "distill"),
    *("shift", "disagreement", "turned", "flip"),
)
"""shift, disagreement: means over the reply's tokens of teacher minus student log-probability, and of its magnitude;
turned: what another verifier made of the verdict (`mopd reverify`); flip: the prompt's, since the round that asked it
before: `learnt` or `lost`."""
DIGITS = {"advantage": 4, "reward": 6, "shift": 4, "disagreement": 4}

_SQL = f"""
WITH said AS (
    SELECT prompt_id, sample, num_tokens, finish_reason = 'length' AS is_cut FROM rollouts WHERE round = $round
), judged AS (
    SELECT
        prompt_id, sample, reward, success, left(prediction, {MOST_SHOWN}) AS prediction,
        coalesce(kind, left(error, {MOST_SHOWN})) AS why
    FROM verdicts WHERE round = $round
), scored AS (
    SELECT
        prompt_id, sample, advantage, distill,
        list_transform(list_zip(teacher_logprobs, proximal_logprobs), lambda x: x[1]::DOUBLE - x[2]::DOUBLE) AS shifts
    FROM scores WHERE round = $round AND condition = ''
), turns AS (
    SELECT
        prompt_id, sample, string_agg(
            CASE success_after WHEN true THEN 'success' WHEN false THEN 'failure' ELSE 'no verdict' END
            || ' by ' || judge_after, ', ' ORDER BY condition
        ) AS turned
    FROM flips WHERE round = $round GROUP BY prompt_id, sample
), rates AS (
    SELECT prompt_id, round, avg(success::INT) >= {SOLVED} AS is_solved FROM verdicts
    WHERE round <= $round AND success IS NOT NULL GROUP BY prompt_id, round
), solved AS (
    SELECT
        prompt_id, arg_max(is_solved, round) FILTER (round < $round) AS before,
        any_value(is_solved) FILTER (round = $round) AS now
    FROM rates GROUP BY prompt_id
)
SELECT
    r.prompt_id, r.sample,
    CASE
        WHEN v.prompt_id IS NULL THEN 'not judged' WHEN v.success IS NULL THEN 'no verdict'
        WHEN v.success THEN 'success' ELSE 'failure'
    END AS outcome,
    v.reward, v.prediction, v.why, r.num_tokens, r.is_cut, s.advantage, s.distill,
    list_avg(s.shifts) AS shift, list_avg(list_transform(s.shifts, lambda x: abs(x))) AS disagreement, t.turned,
    CASE WHEN f.now AND NOT f.before THEN 'learnt' WHEN f.before AND NOT f.now THEN 'lost' END AS flip
FROM said AS r
LEFT JOIN judged AS v USING (prompt_id, sample)
LEFT JOIN scored AS s USING (prompt_id, sample)
LEFT JOIN turns AS t USING (prompt_id, sample)
LEFT JOIN solved AS f USING (prompt_id)
ORDER BY r.prompt_id, r.sample
"""

_QUESTIONS = f"""
SELECT prompt_id, left([message.content FOR message IN messages IF message.role = 'user'][-1], {MOST_SHOWN}) AS question
FROM prompts WHERE round = $round
"""


def rounds(run: ViewedRun) -> Json:
    """The rounds that have rollouts."""
    return {"rounds": [row["round"] for row in run.ask("SELECT DISTINCT round FROM rollouts ORDER BY round")]}


def rollouts(run: ViewedRun, round: int, prompts: Collection[str] | None = None) -> Json:
    """The rollouts of a round by prompt and sample, column by column; of some prompts alone where these are given.

    `questions`: what each prompt asks, its beginning.
    """
    wanted = None if prompts is None else frozenset(prompts)
    rows = [row for row in run.ask(_SQL, round=round) if wanted is None or row["prompt_id"] in wanted]
    asked = {row["prompt_id"] for row in rows}
    questions = {row["prompt_id"]: row["question"] for row in run.ask(_QUESTIONS, round=round)}
    return {
        "round": round,
        "columns": {name: [_short(row[name], DIGITS.get(name)) for row in rows] for name in COLUMNS},
        "questions": {prompt_id: text for prompt_id, text in questions.items() if prompt_id in asked},
    }


def _short(value: Any, digits: int | None) -> Any:
    return value if digits is None or value is None else round(value, digits)
