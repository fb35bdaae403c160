"""The `flips` view: one row a verdict that another verifier turned, of what `mopd reverify` has made."""

from __future__ import annotations

from storage.sql.columns import column_texts
from storage.sql.views.base import View

_SQL = """
SELECT
    j.run, j.round, j.prompt_id, j.sample, j.condition, j.dataset, j.judge_before, j.judge_after,
    j.reward_before, j.reward_after, j.success_before, j.success_after, j.prediction_before, j.prediction_after,
    j.error_before, j.error_after, j.group_before, j.group_after, j.context_changed, j.roles_changed,
    j.advantage_before, j.advantage_after, r.text
FROM rejudged AS j
LEFT JOIN parts.rollouts AS r
    ON r.run = j.run AND r.round = j.round AND r.prompt_id = j.prompt_id AND r.sample = j.sample
WHERE j.success_before IS DISTINCT FROM j.success_after
"""

FLIPS = View(
    "flips",
    "one row a verdict that another verifier turned, by `condition`: of `rejudged` those whose success is another one",
    _SQL,
    {
        **column_texts("rejudged", "run round prompt_id sample condition dataset judge_before judge_after"),
        **column_texts("rejudged", "reward_before reward_after success_before success_after"),
        **column_texts("rejudged", "prediction_before prediction_after error_before error_after"),
        **column_texts("rejudged", "group_before group_after context_changed roles_changed"),
        **column_texts("rejudged", "advantage_before advantage_after"),
        **column_texts("rollouts", "text"),
    },
)
