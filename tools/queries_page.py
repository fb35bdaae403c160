"""Writes docs/queries.md: what every named query answers of runs that are there.

python tools/queries_page.py RUN [RUN]
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from flows.report.sql.knowledge import KNOWLEDGE  # noqa: E402
from flows.report.sql.rows import format_result  # noqa: E402
from flows.report.sql.runs import open_runs  # noqa: E402
from storage.runs import RunFolder  # noqa: E402
from storage.sql.catalog import query_runs  # noqa: E402
from storage.sql.database import told_apart  # noqa: E402
from storage.sql.named import NamedQuery, list_queries  # noqa: E402

PAGE = ROOT / "docs" / "queries.md"
INTRODUCTION = """# What the named queries answer

`mopd sql RUN --named NAME` ([sql.md](sql.md)), of {runs}; of long answers the first {rows} rows. Written by
`python tools/queries_page.py RUN`.
"""
SHOWN_ROWS = 8


def main() -> int:
    """Write the page."""
    runs = open_runs(sys.argv[1:])
    names = " and ".join(f"`{run.name}`" for run in runs)
    answers = [_section(runs, query) for query in list_queries()]
    PAGE.write_text("\n".join([INTRODUCTION.format(runs=names, rows=SHOWN_ROWS), *answers]))
    return 0


def _section(runs: list[RunFolder], query: NamedQuery) -> str:
    """A query, how it was asked, and its answer; of two runs the query that compares two, of the first all others."""
    wanted = [name for name, one in query.parameters.items() if one.kind == "run"]
    asked = runs if wanted else runs[:1]
    names = [run.run_id for run in told_apart(asked)]
    given = dict(zip(wanted, [names[0], names[-1]]))
    result = query_runs(asked, query.sql, query.bind(given, names), KNOWLEDGE)
    words = "".join(f" --param {name}={value}" for name, value in given.items())
    command = f"mopd sql {'--all RUNS' if wanted else 'RUN'} --named {query.name}{words}"
    table = format_result(result.columns, result.rows[:SHOWN_ROWS], "table")
    return f"## `{query.name}`\n\n{query.about}\n\n    {command}\n\n```\n{table}\n```\n"


if __name__ == "__main__":
    sys.exit(main())
