"""The completions of a round that trackers are sent: the reply, what the teacher was shown, the verdict."""

from __future__ import annotations

from typing import Any

from flows.trackers.tracker import Row
from storage.runs import RunFolder
from storage.sql.catalog import query

LONGEST = 10_000
"""Characters of a text; the run has the rest."""
_SQL = """
WITH chosen AS (
    SELECT round, prompt_id, sample FROM rollouts WHERE round = $round ORDER BY sample, prompt_id LIMIT $limit
)
SELECT
    round, prompt_id, sample, prompt, text AS reply, teacher_messages AS context, success, reward, feedback, error
FROM episodes
SEMI JOIN chosen USING (round, prompt_id, sample)
WHERE round = $round
ORDER BY sample, prompt_id
"""


def read_completions(folder: RunFolder, round: int, limit: int) -> list[Row]:
    """At most so many rollouts of a round: the first of each group, then the second. Their number is no merit."""
    if not limit:
        return []
    result = query(folder, _SQL, {"round": round, "limit": limit})
    return [{name: _cell(value) for name, value in zip(result.columns, row)} for row in result.rows]


def _cell(value: Any) -> Any:
    """Messages as one text; texts that fit into a table."""
    if isinstance(value, list):
        value = "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in value)
    if isinstance(value, str) and len(value) > LONGEST:
        return f"{value[:LONGEST]}… ({len(value):,} characters)"
    return value
