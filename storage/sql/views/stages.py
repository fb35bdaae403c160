"""The `stages` view: one row a stage and round, by its current shards and the plan."""

from __future__ import annotations

from storage.sql.columns import column_texts
from storage.sql.views.base import View

_SUMS = ("rows", "bytes", "seconds", "tokens", "groups", "mixed", "successes", "nulls", "cut", "attempts")

_SQL = f"""
SELECT
    run, stage, table_name, round, name, count(key) AS shards_done, sum(planned)::BIGINT AS shards_planned,
    {", ".join(f"sum({name})::{'DOUBLE' if name == 'seconds' else 'BIGINT'} AS {name}" for name in _SUMS)},
    list_sort(list(DISTINCT host) FILTER (host IS NOT NULL)) AS hosts,
    count(DISTINCT (host, replica)) FILTER (replica IS NOT NULL) AS replicas,
    min(created) AS first_created, max(created) AS last_created
FROM (
    SELECT *, NULL AS planned FROM shards WHERE current
    UNION ALL BY NAME
    SELECT run, stage, table_name, round, name, shards AS planned FROM parts.planned
)
GROUP BY run, stage, table_name, round, name
"""

STAGES = View(
    "stages",
    "one row a stage and round, and name where it isn't the run's own",
    _SQL,
    {
        **column_texts("rollouts", "run"),
        "stage": "verb of the stage",
        "table_name": "the table that it fills",
        "round": "the round; of evaluations and their prompts the policy's version",
        "name": "of what is not the run's own: a condition, or a model; else empty",
        "shards_done": "its current shards",
        "shards_planned": "shards that the run is known to need; null where nothing plans it, and in a `catalog.sql` "
        "that no run wrote",
        "rows": "rows of its shards",
        "bytes": "bytes of its shards",
        "seconds": "that their jobs took, one after the other",
        "tokens": "tokens of their rows",
        "groups": "groups of their rows",
        "mixed": "groups with both outcomes",
        "successes": "rows that the verifier calls a success",
        "nulls": "rows without a verdict",
        "cut": "replies cut at the longest response; of contexts: cut for the budget",
        "attempts": "how often its shards were tried, where that was counted",
        "hosts": "which made them",
        "replicas": "processes which made them",
        "first_created": "when the first of them was committed: UTC, ISO 8601",
        "last_created": "when the last of them was committed",
    },
)
