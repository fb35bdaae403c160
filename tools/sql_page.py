"""Writes docs/sql.md: what is told once in the code of views, columns and named queries.

python tools/sql_page.py [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from storage.sql.described import Described, describe_tables, describe_views  # noqa: E402
from storage.sql.named import NamedQuery, list_queries  # noqa: E402

PAGE = ROOT / "docs" / "sql.md"
INTRODUCTION = """# SQL

```bash
mopd sql RUN "SELECT round, avg(reward) FROM episodes GROUP BY round ORDER BY round"
mopd sql RUN --list                                        # queries that have a name
mopd sql RUN --named disliked_tokens --param round=1 --param limit=5
mopd sql --all runs "SELECT run, round, avg(success::int) FROM verdicts GROUP BY ALL ORDER BY ALL"
```

`RUN` is a run's folder or its address in a bucket. One statement that reads is run by DuckDB, over the tables and views
below; `--format csv` and `json` print for programs. A statement can write nothing and reach no file. `make docs` writes
this page from `storage/sql/`.

- A table is opened when a statement reads it. Small columns come from the index
  ([storage.md](storage.md#opening-a-big-run)), others from the shards that have such rows: a condition on `round` or
  `prompt_id` is what makes a query over a big run fast.
- `contexts`, `scores`, `signals` and `answers` may hold a rollout several times, under other contexts: `condition = ''`
  is what the run trains on. `episodes` and `groups` show that alone.
- What does not exist is null, and stays out of `avg` and `count(column)`.
- Shards that a damaged file took with it are left out, with a line on stderr and exit code 1. Beside a run that goes on
  a query sees what is committed when it opens a table; where a file goes while it is read, it is asked once more.
- Shards that were superseded are in no table: `shards`, `lineage` alone still tell of them; `reruns` says why.

## Several runs

`mopd sql --all` takes runs, folders that hold runs, and patterns in quotes (`'runs/lr-*'`, `s3://bucket/runs/*`), then
the statement. Every table and view holds the rows of all of them, told apart by `run`; a condition on `run` opens that
run alone. Runs that have the same name, such as copies, are called by their folders' names, or, where these are the
same too, by where they lie. A run of another format is refused, by name: leave it out, or ask it with the mopd that
made it.

## Queries of your own

`--named FILE.sql` takes a file like those in `storage/sql/queries/`. Its first lines say what it answers, and what it
is told:

```sql
-- Replies of a round that are longer than a bound.
-- param round integer = null: of which round; of all where null
-- param tokens integer: the bound
SELECT run, round, prompt_id, sample, num_tokens FROM rollouts
WHERE num_tokens > $tokens AND ($round IS NULL OR round = $round)
```

Kinds are `integer`, `number`, `boolean`, `text` and `run` (one of the runs that are asked). `--param round=null` gives
no value; a parameter without a default must be given. Values are bound, never written into the statement.

## DuckDB's own command line

`catalog.sql` in the run's folder has the same tables and views, with these descriptions as comments
(`duckdb_columns()`):

    cd RUN && duckdb -init catalog.sql

`mopd run` writes it when it begins and when it ends, other commands when they made or removed rows. It names the
files that were committed then. DuckDB reads them without checksums of pages, `tokens.text` is null there, and
`shards.problem` too. Columns of token ids want DuckDB 2.0: version 1.5 says that it can't read their encoding."""


def main() -> int:
    """Write the page; with --check, say whether it is up to date instead."""
    text = "\n".join([INTRODUCTION, *_sections()])
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.exists() and PAGE.read_text() == text else 1
    PAGE.write_text(text)
    return 0


def _sections() -> Iterable[str]:
    yield "## Queries that have a name\n"
    yield "| name | what it answers | parameters |\n| --- | --- | --- |"
    yield from (_query_row(query) for query in list_queries())
    yield "\n## Views\n"
    for view in describe_views():
        yield from _table(view)
    yield "## Tables\n"
    for table in describe_tables():
        yield from _table(table)


def _query_row(query: NamedQuery) -> str:
    parameters = [f"`{one}`: {one.about}" for one in query.parameters.values()]
    return f"| `{query.name}` | {query.about} | {'; '.join(parameters)} |"


def _table(one: Described) -> Iterable[str]:
    yield f"### `{one.name}`\n\n{one.about[0].upper()}{one.about[1:]}.\n"
    yield "| column | what it says |\n| --- | --- |"
    yield from (f"| `{column}` | {text} |" for column, text in one.columns.items())
    yield ""


if __name__ == "__main__":
    sys.exit(main())
