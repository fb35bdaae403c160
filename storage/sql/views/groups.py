"""The `groups` view: one row a prompt and round, whose rollouts are each other's peers."""

from __future__ import annotations

from storage.sql.columns import column_texts
from storage.sql.views.base import View

_SQL = """
WITH said AS (
    SELECT
        run, round, prompt_id, count(*) AS num_rollouts, avg(num_tokens) AS mean_tokens,
        count(*) FILTER (finish_reason = 'length') AS num_cut, round - min(policy_version) AS staleness
    FROM rollouts GROUP BY run, round, prompt_id
), judged AS (
    SELECT
        run, round, prompt_id, count(success) AS num_judged, count(*) FILTER (success) AS num_successes,
        count(*) FILTER (success IS NULL) AS num_null, avg(reward) AS mean_reward
    FROM parts.verdicts GROUP BY run, round, prompt_id
), shown AS (
    SELECT
        run, round, prompt_id, sum(len(peers)) AS num_peers, count(*) FILTER (truncated) AS num_contexts_cut
    FROM parts.contexts WHERE condition = '' GROUP BY run, round, prompt_id
)
SELECT
    r.run, r.round, r.prompt_id, p.dataset,
    [message.content FOR message IN p.messages IF message.role = 'user'][-1] AS prompt, p.answer,
    r.num_rollouts, v.num_successes, v.num_null,
    CASE
        WHEN v.num_judged > 0 THEN
            CASE v.num_successes WHEN 0 THEN 'none' WHEN v.num_judged THEN 'all' ELSE 'mixed' END
    END AS kind,
    v.num_successes / nullif(v.num_judged, 0) AS pass_rate, v.mean_reward,
    r.mean_tokens, r.num_cut, c.num_peers, c.num_contexts_cut, g.success_auc AS teacher_auc, r.staleness
FROM said AS r
LEFT JOIN judged AS v ON v.run = r.run AND v.round = r.round AND v.prompt_id = r.prompt_id
LEFT JOIN shown AS c ON c.run = r.run AND c.round = r.round AND c.prompt_id = r.prompt_id
LEFT JOIN parts.prompts AS p ON p.run = r.run AND p.round = r.round AND p.prompt_id = r.prompt_id
LEFT JOIN parts.signals AS g
    ON g.run = r.run AND g.round = r.round AND g.prompt_id = r.prompt_id
    AND g.population = 'all' AND g.condition = ''
"""

GROUPS = View(
    "groups",
    "one row a prompt and round: its rollouts, whose successes are each other's peers",
    _SQL,
    {
        **column_texts("rollouts", "run round prompt_id"),
        **column_texts("prompts", "dataset"),
        "prompt": "the last message of the user",
        **column_texts("prompts", "answer"),
        "num_rollouts": "rollouts of the group",
        "num_successes": "rollouts that the verifier calls a success",
        "num_null": "rollouts without a verdict: the verifier failed",
        "kind": "`none`, `mixed` or `all`, by the successes among those judged; null where none is judged",
        "pass_rate": "successes of those judged",
        "mean_reward": "mean of the rewards that there are",
        "mean_tokens": "mean length of a reply in tokens",
        "num_cut": "replies that were cut at the longest response",
        "num_peers": "peers shown, over the contexts of all its rollouts",
        "num_contexts_cut": "contexts that were cut for the budget",
        "teacher_auc": "how well the teacher's scores tell the group's successes from its failures: "
        "`success_auc` of `signals`",
        "staleness": "rounds between the oldest policy that sampled, and the one that is trained on it",
    },
)
