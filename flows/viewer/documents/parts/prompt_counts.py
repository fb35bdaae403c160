"""How often prompts are solved: of each round that asked one, and of all together; counted once a round."""

from __future__ import annotations

import pyarrow as pa

from flows.viewer.documents.parts.questions import TRAINED
from flows.viewer.documents.round_answers import RoundQuery
from flows.viewer.documents.viewed import SOLVED, ViewedRun

GROUPS = RoundQuery(
    "groups",
    f"""
WITH said AS (
    SELECT round, prompt_id, count(*) AS num_rollouts, sum(num_tokens)::BIGINT AS num_tokens
    FROM rollouts WHERE {{where}} GROUP BY round, prompt_id
), judged AS (
    SELECT round, prompt_id, count(success) AS num_judged, count(*) FILTER (success) AS num_successes
    FROM verdicts WHERE {{where}} GROUP BY round, prompt_id
), shown AS (
    SELECT round, prompt_id, count(*) AS num_contexts, count(*) FILTER (has_sections) AS num_with_peers
    FROM contexts WHERE {{where}} AND condition = '' GROUP BY round, prompt_id
), asked AS (
    SELECT round, prompt_id, dataset FROM prompts WHERE {{where}} AND {TRAINED}
)
SELECT
    r.*, p.dataset, coalesce(v.num_judged, 0) AS num_judged, coalesce(v.num_successes, 0) AS num_successes,
    c.num_contexts, c.num_with_peers, v.num_successes / nullif(v.num_judged, 0) AS pass_rate,
    CASE WHEN pass_rate = 0 THEN 'none' WHEN pass_rate = 1 THEN 'all' WHEN pass_rate > 0 THEN 'mixed' END AS kind
FROM said AS r
LEFT JOIN asked AS p USING (round, prompt_id)
LEFT JOIN judged AS v USING (round, prompt_id)
LEFT JOIN shown AS c USING (round, prompt_id)
""",
    ("rollouts", "verdicts", "contexts", "prompts"),
)
"""A prompt of a round, with the numbers of what was made of it."""
ROUND = "[round, num_successes, num_judged, num_rollouts]"
"""A round of a prompt, as a page has it."""

_FLIPS = f"""
SELECT *, CASE
    WHEN pass_rate >= {SOLVED} AND before < {SOLVED} THEN 'learnt'
    WHEN pass_rate < {SOLVED} AND before >= {SOLVED} THEN 'lost'
END AS flip
FROM (
    SELECT *, lag(pass_rate IGNORE NULLS) OVER rounds AS before
    FROM groups WINDOW rounds AS (PARTITION BY prompt_id ORDER BY round)
)
"""
_PROMPTS = f"""
SELECT
    prompt_id, arg_max_null(dataset, round) AS dataset, list({ROUND} ORDER BY round) AS rounds,
    arg_max_null(kind, round) AS kind,
    arg_max(pass_rate, round) AS pass_rate, arg_min(pass_rate, round) AS pass_rate_first,
    max(round) FILTER (pass_rate IS NOT NULL) AS judged_round,
    count(flip) AS flips, count(flip) > 0 AS flipped,
    sum(num_rollouts)::BIGINT AS num_rollouts, sum(num_tokens) / sum(num_rollouts) AS mean_tokens,
    coalesce(sum(num_contexts), 0)::BIGINT AS num_contexts,
    coalesce(sum(num_with_peers), 0)::BIGINT AS num_with_peers
FROM flips GROUP BY prompt_id
"""


def group_flips(run: ViewedRun) -> pa.Table:
    """The rows of GROUPS, each with its `flip`: `learnt` or `lost`, where its pass rate crossed SOLVED since the last
    round that asked it and was judged; else null."""
    return run.ask_table(_FLIPS, given={"groups": run.ask_rounds(GROUPS)})


def prompt_counts(run: ViewedRun) -> pa.Table:
    """A row a prompt, over all rounds that asked it."""
    return run.ask_table(_PROMPTS, given={"flips": run.make_once(group_flips)})
