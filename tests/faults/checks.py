"""What holds of a run after whatever happened to it."""

from __future__ import annotations

from pathlib import Path

from storage.lookup import manifest_names, scan
from storage.manifests import TABLES, Manifest
from storage.runs import RunFolder
from storage.schemas import NAME_COLUMNS, SCHEMAS, key_columns
from storage.sql.catalog import query
from tests.e2e.harness import unnamed_files

Files = dict[str, tuple[int, int]]
"""Committed files by name: when each was written, and the number that the file system knows it by."""


def commits_in_order(run: Path) -> list[str]:
    """The names of all manifests, as they were committed one after the other."""
    folder = RunFolder.open(run)
    manifests = {name: Manifest.read(folder.store, name) for table in TABLES for name in manifest_names(folder, table)}
    return sorted(manifests, key=lambda name: manifests[name].created)


def stage_of(name: str) -> str:
    """The stage that a manifest is of, by its name."""
    from flows.plan.stage import STAGES

    return STAGES[name.partition("/")[0]].name


def committed_files(run: Path) -> Files:
    """What manifests name, and they themselves; trainer state is removed later, and so is left out."""
    if not (run / "run.json").exists():
        return {}
    folder = RunFolder.open(run)
    named = {name for table in TABLES for name in manifest_names(folder, table)}
    for table in TABLES:
        for manifest in scan(folder, table, name=None)[0]:
            named |= {file for file, _, _, removable in manifest.list_files() if not removable}
    stats = {name: (run / name).stat() for name in named}
    return {name: (stat.st_mtime_ns, stat.st_ino) for name, stat in stats.items()}


def leftovers(run: Path) -> list[str]:
    """Files of a run that nothing names, and hidden ones beside it."""
    return sorted(unnamed_files(run)) + [path.name for path in run.parent.glob(f".{run.name}*")]


def rows_of(run: Path) -> dict[str, int]:
    """Rows of each table; AssertionError where two have the same key."""
    folder = RunFolder.open(run)
    counts = {}
    for table in SCHEMAS:
        names = [NAME_COLUMNS[table]] if table in NAME_COLUMNS else []
        keys = ", ".join([*key_columns(table), *names])
        result = query(folder, f"SELECT count(*), count(DISTINCT ({keys})) FROM {table}")
        assert not result.excluded, result.excluded
        counts[table], distinct = result.rows[0]
        assert counts[table] == distinct, f"{table} has rows twice"
    return counts
