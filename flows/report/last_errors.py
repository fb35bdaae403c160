"""The errors that attempts at a run's shards ended with last: which shard, what was said, how often it was tried."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from storage.failures import Failure, last_failures
from storage.lookup import find_manifest
from storage.runs import RunFolder

MOST_ERRORS = 5
"""Shards that are told of."""
_MOST_READ = 4 * MOST_ERRORS
"""Failures that are read for that: some shards fail again and again."""


def last_errors(folder: RunFolder) -> list[dict[str, Any]]:
    """By shard that was not superseded, its newest failure; newest first. `made`: whether a later attempt succeeded."""
    newest: dict[str, Failure] = {}
    for failure in last_failures(folder, _MOST_READ):
        if failure.key not in folder.superseded:
            newest.setdefault(failure.key, failure)
    return [{**asdict(failure), "made": _is_made(folder, failure)} for failure in list(newest.values())[:MOST_ERRORS]]


def error_line(error: dict[str, Any]) -> str:
    """For people: one of `last_errors`."""
    times = "once" if error["attempt"] == 1 else f"{error['attempt']} times"
    ended = f"failed {times}, then made" if error["made"] else f"failed {times}"
    log = error["log"]
    seen = "" if log is None or log in error["error"] else f"; see {log}"
    when = error["created"][:19].replace("T", " ")
    where = f"{error['stage']} r{error['round']:04d} s{error['shard']:04d}"
    return f"{where}: {ended}, {when} UTC on {error['host']}: {error['error']}{seen}"


def errors_text(errors: list[dict[str, Any]]) -> str:
    """All of them under a heading; "" for none."""
    return "\n".join(["last errors", *map(error_line, errors)]) if errors else ""


def _is_made(folder: RunFolder, failure: Failure) -> bool:
    return find_manifest(folder, failure.table, failure.round, failure.shard, failure.key) is not None
