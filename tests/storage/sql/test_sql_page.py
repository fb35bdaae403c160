"""Promise: docs/sql.md is what the code says of tables, views and named queries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from storage.schemas import SCHEMAS
from storage.sql.named import list_queries
from storage.sql.views import VIEWS

ROOT = Path(__file__).resolve().parents[3]


def test_the_page_is_up_to_date_and_leaves_nothing_out() -> None:
    script = ROOT / "tools" / "sql_page.py"
    assert subprocess.run([sys.executable, script, "--check"]).returncode == 0, "run make docs"
    text = (ROOT / "docs" / "sql.md").read_text()
    names = [*SCHEMAS, *(view.name for view in VIEWS), *(query.name for query in list_queries())]
    assert [name for name in names if f"`{name}`" not in text] == []
