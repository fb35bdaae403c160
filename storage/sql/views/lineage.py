"""The `lineage` view: one row a shard and shard that it was made from."""

from __future__ import annotations

from storage.sql.columns import column_texts
from storage.sql.views.base import View

_SQL = """
WITH child AS (SELECT *, unnest(parents) AS parent FROM shards)
SELECT
    c.run, c.key AS child_key, c.stage AS child_stage, c.table_name AS child_table, c.round AS child_round,
    c.shard AS child_shard, c.name AS child_name, c.superseded AS child_superseded,
    split_part(c.parent, ':', 1) AS parent_key, p.stage AS parent_stage, p.table_name AS parent_table,
    p.round AS parent_round, p.shard AS parent_shard, p.name AS parent_name, p.superseded AS parent_superseded,
    p.content = split_part(c.parent, ':', 2) AS is_same
FROM child AS c
LEFT JOIN shards AS p ON p.run = c.run AND p.key = split_part(c.parent, ':', 1)
"""

_OF = {
    "stage": "verb of the stage that made it",
    "table": "the table that its rows are of",
    "round": "its round",
    "shard": "its number in the round",
    "name": "its condition, or model; else empty",
    "superseded": "whether the run was redone without it",
}

LINEAGE = View(
    "lineage",
    "one row a shard and shard that it was made from",
    _SQL,
    {
        **column_texts("rollouts", "run"),
        "child_key": "key of the shard that was made",
        **{f"child_{name}": text for name, text in _OF.items()},
        "parent_key": "key of a shard that it was made from",
        **{f"parent_{name}": f"{text}; null where the run doesn't hold it" for name, text in _OF.items()},
        "is_same": "whether the parent has what it had then; null where the run doesn't hold it",
    },
)
