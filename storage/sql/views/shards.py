"""The `shards` view: one row a manifest, superseded ones included."""

from __future__ import annotations

from storage.sql.columns import column_texts
from storage.sql.views.base import View

_NUMBERS = ("tokens", "groups", "mixed", "successes", "nulls", "cut", "attempts")
"""Of `info`, what becomes a column."""

_SQL = f"""
SELECT
    m.run, m.stage, m.table_name, m.round, m.shard, m.name, m.key,
    NOT m.superseded AND m.problem IS NULL AND 1 = row_number() OVER (
        PARTITION BY m.run, m.table_name, m.round, m.shard, m.name, m.superseded OR m.problem IS NOT NULL
        ORDER BY m.created DESC, m.key DESC
    ) AS current,
    m.superseded, m.problem, m.file, m.home, m.rows, m.bytes, m.sha256, m.content, m.created,
    (m.info ->> '$.seconds')::DOUBLE AS seconds, m.info ->> '$.host' AS host, m.info ->> '$.replica' AS replica,
    (m.info ->> '$.stage_version')::BIGINT AS stage_version, m.info ->> '$.settings_digest' AS settings_digest,
    {", ".join(f"(m.info ->> '$.{name}')::BIGINT AS {name}" for name in _NUMBERS)},
    m.parents, m.info, m.versions
FROM parts.manifests AS m
"""

SHARDS = View(
    "shards",
    "one row a shard, or policy folder, as its manifest describes it",
    _SQL,
    {
        **column_texts("rollouts", "run"),
        "stage": "verb of the stage that made it",
        "table_name": "the table that its rows are of; `policies` for a policy folder",
        "round": "the round; of evaluations and their prompts the policy's version",
        "shard": "its number in the round",
        "name": "of what is not the run's own: the condition of its rows, or the model of evaluations",
        "key": "hash of all that decides its content",
        "current": "whether its rows are among those of its table: the newest whole one of its place",
        "superseded": "whether the run was redone without it",
        "problem": "what is wrong with its file, by name and size; null where nothing is, and in `catalog.sql`",
        "file": "the Parquet file, or the policy's folder, from the run's folder, or that of its home",
        "home": "the run that has the file, where it was taken over by a fork; else empty",
        "rows": "rows of the file",
        "bytes": "size of the file, or of the folder's files",
        "sha256": "of the file, or of a policy's weights",
        "content": "what shards made from it keep of it: sha256, timings apart",
        "created": "when it was committed: UTC, ISO 8601",
        "seconds": "that its job took",
        "host": "which made it",
        "replica": "the process which made it",
        "stage_version": "version of the stage; null where that wasn't noted yet",
        "settings_digest": "hash of the settings that its key holds; null where that wasn't noted yet",
        "tokens": "tokens of its rows",
        "groups": "groups of its rows",
        "mixed": "groups with both outcomes",
        "successes": "rows that the verifier calls a success",
        "nulls": "rows without a verdict",
        "cut": "replies cut at the longest response; of contexts: cut for the budget",
        "attempts": "how often it was tried, where that was counted",
        "parents": "`key:content` of each shard that it was made from",
        "info": "all that was noted when it was made, as JSON",
        "versions": "of what made it, as JSON",
    },
)
